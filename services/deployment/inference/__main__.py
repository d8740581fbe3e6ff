"""Runs one replica: `python -m services.deployment.inference ORDER`. Ends by SIGTERM, or when its lease stands still.

ORDER is a file, or the JSON itself where whoever starts the replica has no folder in common with it.

Exit status 3: the artifact was refused; 4: the model was refused. Both are final, starting again would not help. 5: it
outgrew its memory and was drained; 6: a port is taken. The reason stands in the answer file, for whoever started the
replica, and is the last thing it prints.
"""

import asyncio
import json
import os
import resource
import signal
import sys
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import uvicorn
from nats.aio.client import Client

from kernel.guard import refuse_pickles
from kernel.jetstream import connect
from kernel.tls import ClientTls
from services.deployment.inference.answers import Answers
from services.deployment.inference.doors import Doors
from services.deployment.inference.model import ModelRefused, load
from services.deployment.inference.order import (
    ARTIFACT_REFUSED,
    MODEL_REFUSED,
    OUTGROWN,
    PORT_TAKEN,
    ArtifactRefused,
    Order,
    from_json,
    read,
)
from services.deployment.inference.telemetry import Telemetry

_PUBLISH_SECONDS = 5.0


def answer(order: Order, **values: object) -> None:
    """Tells the driver, atomically: it never reads half an answer."""
    if not order.answer_file:
        return
    path = Path(order.answer_file)
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(values))
    beside.replace(path)


async def serve(order: Order) -> int:
    """Serves until told to stop; the exit status."""
    try:
        model = load(order)
    except (ArtifactRefused, ModelRefused) as refused:
        artifact = isinstance(refused, ArtifactRefused)
        answer(order, refused=str(refused), artifact=artifact)
        print(refused, file=sys.stderr)  # noqa: T201 - The replica's log is its standard error.
        return ARTIFACT_REFUSED if artifact else MODEL_REFUSED
    telemetry = Telemetry(publisher(order), endpoint=order.endpoint, version=order.version, replica=order.replica)
    answers = Answers(order, model, telemetry if order.nats_url else None)
    try:
        server = Doors(answers)
        addresses = await server.open()
    except OSError as error:
        problem = f"{order.host} port {order.port} or {order.grpc_port} cannot be listened on: {error}"
        answer(order, ended=problem)
        print(problem, file=sys.stderr)  # noqa: T201
        return PORT_TAKEN
    answer(order, **addresses)
    publishing = asyncio.create_task(telemetry.run()) if order.nats_url else None
    ended = await server.until_told(order)
    if ended:
        answer(order, **addresses, ended=ended)
        print(ended, file=sys.stderr)  # noqa: T201
    await server.close(patiently=bool(ended))
    if publishing:
        publishing.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_PUBLISH_SECONDS):
                await telemetry.flush()
    return OUTGROWN if ended else 0


def publisher(order: Order) -> Callable[[str, bytes], Awaitable[None]]:
    """Publishes batches to JetStream over a connection made with the first one, so NATS may start later than we."""
    connections: list[Client] = []
    file = Path(order.nats_password_file) if order.nats_password_file else None

    async def publish(batch_id: str, payload: bytes) -> None:
        if not connections:
            connections.append(
                await connect(
                    order.nats_url,
                    name=order.replica,
                    user=order.nats_user,
                    password=lambda: file.read_text().strip() if file else "",
                    tls=ClientTls(order.nats_ca_file),
                )
            )
        stream = connections[0].jetstream(timeout=_PUBLISH_SECONDS)
        await stream.publish(order.telemetry_subject, payload, headers={"Nats-Msg-Id": batch_id})

    return publish


def limit(order: Order) -> None:
    """Beyond its memory an allocation fails, which is this replica's trouble and not the machine's."""
    if order.memory_mib:
        size = order.memory_mib << 20
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    if order.cpus and sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))
        # Another replica begins at another core: which one follows from its name, for nobody keeps a list.
        first = zlib.crc32(order.replica.encode()) % len(cores)
        os.sched_setaffinity(0, [*cores, *cores][first : first + min(order.cpus, len(cores))])


def main() -> int:
    refuse_pickles()
    given = sys.argv[1]
    order = from_json(given) if given.startswith("{") else read(Path(given))
    if order.answer_file:
        # Its starter does so too, unless it dies before it can.
        Path(order.answer_file).with_name("pid").write_text(str(os.getpid()))
    limit(order)
    # uvicorn raises the signal that stopped it once more when it is done; what is left to do then must not die of it.
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: None)
    with asyncio.Runner(loop_factory=uvicorn.Config(serve).get_loop_factory()) as runner:
        return runner.run(serve(order))


if __name__ == "__main__":
    sys.exit(main())
