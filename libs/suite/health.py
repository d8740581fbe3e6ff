"""Asks a gRPC server whether it serves: `python -m suite.health HOST:PORT [SERVICE [CA_FILE]]`.

For containers and the suite. With the certificate of an authority in CA_FILE the server has to speak TLS.
"""

import asyncio
import sys
from pathlib import Path

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2


async def serving(address: str, service: str = "", ca_file: str = "", *, timeout: float = 3.0) -> bool:
    """True when grpc.health.v1 answers SERVING for `service` (the whole server by default) within `timeout` seconds."""
    async with _channel(address, ca_file) as channel:
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


def _channel(address: str, ca_file: str) -> grpc.aio.Channel:
    if not ca_file:
        return grpc.aio.insecure_channel(address)
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(Path(ca_file).read_bytes()))


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(serving(*sys.argv[1:])) else 1)
