"""A log that a play of the demo left behind, to try reads of the past on: 148 facts of all four services.

Written by `python -m tests.suite.history .modelog/demo/data`, after the suite of that play has ended.
"""

import asyncio
import base64
import gzip
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import nats

from suite.nats_server import NatsServer

FILE = Path(__file__).parent / "recorded" / "demo.log.gz"
Message = tuple[str, bytes]


def recorded() -> list[Message]:
    """Subject and payload of every message, in order."""
    lines = gzip.decompress(FILE.read_bytes()).splitlines()
    return [(subject, base64.b64decode(payload)) for subject, payload in map(json.loads, lines)]


async def append(server: NatsServer, messages: Sequence[Message]) -> None:
    """Puts them into an empty stream, where they get the positions they had."""
    client = await nats.connect(server.url)
    try:
        stream = client.jetstream()
        for position, (subject, payload) in enumerate(messages, 1):
            assert (await stream.publish(subject, payload)).seq == position
    finally:
        await client.close()


async def read(server: NatsServer, name: str = "LIFECYCLE") -> list[Message]:
    """Everything that a stream holds, by default the log."""
    client = await nats.connect(server.url)
    try:
        stream = client.jetstream()
        head = (await stream.stream_info(name)).state.last_seq
        found = [await stream.get_msg(name, position) for position in range(1, head + 1)]
        return [(str(one.subject), one.data or b"") for one in found]
    finally:
        await client.close()


def keep(messages: list[Message], machine: str) -> None:
    """machine: the folder of the repository, in whose place as many other bytes are written."""
    stood_in = ("https://git.test/" + "x" * len(machine))[: len(machine)].encode()
    masked = [(subject, payload.replace(machine.encode(), stood_in)) for subject, payload in messages]
    lines = [json.dumps([subject, base64.b64encode(payload).decode()]).encode() for subject, payload in masked]
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_bytes(gzip.compress(b"\n".join(lines), 9, mtime=0))


async def _main(data: Path) -> None:
    async with NatsServer(data / "nats") as server:
        keep(await read(server), str(Path.cwd()))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
