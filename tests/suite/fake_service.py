"""A service that only proves it got what it needs: it reaches the log and the views, and says so by its health."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import asyncpg
import grpc.aio
import nats
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


async def main() -> None:
    given = {key.removeprefix("MODELOG_"): value for key, value in os.environ.items() if key.startswith("MODELOG_")}
    if given.get("FAKE") == "broken":
        sys.exit("the fake is broken as ordered")
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    password = Path(given["NATS_PASSWORD_FILE"]).read_text()
    client = await nats.connect(given["NATS_URL"], user=given["NATS_USER"], password=password)
    views = await asyncpg.connect(given["POSTGRES_OWNER_URL"])
    await views.execute(f'create schema if not exists "{given["SCHEMA"]}"')
    await client.request(f"lifecycle.{given['NATS_USER']}.p.things.x", b"started", timeout=5)
    server = grpc.aio.server()
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    server.add_insecure_port(given["LISTEN"])
    await server.start()
    await checks.set("", health_pb2.HealthCheckResponse.SERVING)
    print("serving", *sorted(given), flush=True)
    await stopped.wait()
    await server.stop(float(given["DRAIN_SECONDS"]))
    await client.close()
    await views.close()
    print("drained", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
