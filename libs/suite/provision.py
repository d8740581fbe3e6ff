"""Makes the four streams as deploy/nats/*.json pin them, once; says so when one of them is not as pinned.

Run by whoever sets an installation up, as the user `provision`:
`python -m suite.provision NATS_URL FOLDER [REPLICAS [ACCESS_DAYS]]`. FOLDER holds the password in the file `nats`, and
in `ca.crt` whom to believe to be the server. ACCESS_DAYS says how long records of access are kept, 0 for good; the
archive keeps them for as long as the stream does.
Nothing is ever changed on a stream that exists: a changed LIFECYCLE is a case for people, not for a start script.
"""

import asyncio
import json
import ssl
import sys
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client

FOLDER = Path(__file__).parents[2] / "deploy" / "nats"
STREAMS = ("lifecycle", "telemetry", "access", "texts")
_ANSWER_SECONDS = 10.0
_NO_STREAM = 10059
_DAY_NANOSECONDS = 24 * 3600 * 1_000_000_000


class Drift(Exception):
    """A stream exists and is configured otherwise than pinned. The message lists the fields."""


def pinned(stream: str, *, replicas: int = 1) -> dict[str, Any]:
    """The configuration of one of STREAMS as the JetStream API takes it; durations in nanoseconds."""
    configuration: dict[str, Any] = json.loads((FOLDER / f"{stream}.json").read_text())
    return configuration | {"num_replicas": replicas}


def drift(wanted: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    """What differs, one line a field, empty when nothing does.

    The server leaves out what is false or zero, and adds metadata about itself. A field that is not pinned but set
    (a republish, a transform, a source) is drift as well.
    """
    unpinned = {field for field, value in actual.items() if value} - wanted.keys() - {"metadata", "consumer_limits"}
    return [
        f"{field}: {actual.get(field)!r} instead of {wanted.get(field)!r}"
        for field in sorted(wanted.keys() | unpinned)
        if (actual.get(field) or None) != (wanted.get(field) or None)
    ]


async def provision(
    nats_url: str, *, replicas: int = 1, access_days: int | None = None, folder: Path | None = None
) -> None:
    """Creates the four streams where they are missing. Raises Drift for one that is not as pinned.

    `nats_url` carries the user `provision`, and the password unless it stands in `folder`, which asks for TLS too.
    `replicas` is 1 on a single server and 3 in production. `access_days` is for ACCESS alone; as pinned when None.
    """
    kept = {} if access_days is None else {"max_age": access_days * _DAY_NANOSECONDS}
    options: dict[str, Any] = {}
    if folder is not None:
        options = {"user": "provision", "password": (folder / "nats").read_text().strip()}
        options["tls"] = ssl.create_default_context(cafile=folder / "ca.crt")
    client = await nats.connect(nats_url, name="provision", allow_reconnect=False, connect_timeout=5, **options)
    try:
        for stream in STREAMS:
            wanted = pinned(stream, replicas=replicas)
            await _ensure(client, wanted | kept if stream == "access" else wanted)
    finally:
        await client.close()


async def _ensure(client: Client, wanted: dict[str, Any]) -> None:
    answer = await _call(client, f"STREAM.INFO.{wanted['name']}", {})
    if answer.get("error", {}).get("err_code") == _NO_STREAM:
        answer = await _call(client, f"STREAM.CREATE.{wanted['name']}", wanted)
    if error := answer.get("error"):
        raise RuntimeError(f"{wanted['name']}: {error.get('err_code')} {error.get('description')}")
    if differences := drift(wanted, answer["config"]):
        raise Drift(f"{wanted['name']} is not as pinned: {'; '.join(differences)}")


async def _call(client: Client, verb: str, request: dict[str, Any]) -> dict[str, Any]:
    """By hand, since nats-py drops the fields it does not know."""
    body = json.dumps(request).encode() if request else b""
    message = await client.request(f"$JS.API.{verb}", body, timeout=_ANSWER_SECONDS)
    answer: dict[str, Any] = json.loads(message.data)
    return answer


if __name__ == "__main__":
    numbers = dict(zip(("replicas", "access_days"), map(int, sys.argv[3:]), strict=False))
    asyncio.run(provision(sys.argv[1], folder=Path(sys.argv[2]), **numbers))
