"""Asks a gRPC server whether it serves: `python -m suite.health HOST:PORT [SERVICE]`. For containers and the suite."""

import asyncio
import sys

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2


async def serving(address: str, service: str = "", *, timeout: float = 3.0) -> bool:
    """True when grpc.health.v1 answers SERVING for `service` (the whole server by default) within `timeout` seconds."""
    async with grpc.aio.insecure_channel(address) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = await check(health_pb2.HealthCheckRequest(service=service), timeout=timeout)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(serving(*sys.argv[1:])) else 1)
