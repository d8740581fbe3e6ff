"""Restores an installation's log into an empty NATS from the folder of its archive."""

from pathlib import Path

import nats

from services.archive.restoring import RestoreRefused, restore
from suite.provision import provision

__all__ = ["RestoreRefused", "restored"]


async def restored(data: Path, nats_url: str, origin: str, *, go_on: bool, replicas: int) -> int:
    """Makes the streams and fills the log; returns how many facts it holds. `nats_url` carries the user `provision`."""
    await provision(nats_url, replicas=replicas)
    client = await nats.connect(nats_url)
    try:
        return await restore(client, data, origin, go_on=go_on)
    finally:
        await client.close()
