"""The notary: `python -m services.archive.notarizing --nats URL --folder F --key-folder K --origin NAME`.

Follows the log as a user that may only read it, keeps the tree in F/tree, and signs checkpoints into F, where the
archive reads them. The key lies in K, which nobody else has. `F/alive` is touched every few seconds. A second one on
the same folder does not start.
"""

import argparse
import asyncio
import fcntl
import os
import signal
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import uvloop

from kernel import telemetry
from kernel.jetstream import JetStreamLog, connect
from kernel.logs import structlog
from kernel.position import Position
from kernel.tls import ClientTls
from services.archive.checkpoints import Checkpoints, Ledger
from services.archive.keys import open_key, rotate_if_asked
from services.archive.notarizing.following import Following
from services.archive.notarizing.tree import TreeFiles
from services.archive.notary import Notary

_ALIVE_SECONDS = 3.0
_log = structlog.get_logger()


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.archive.notarizing", description=__doc__)
    parser.add_argument("--nats", required=True, help="where the log is")
    parser.add_argument("--user", default="notary")
    parser.add_argument("--password-file", default="")
    parser.add_argument("--ca-file", default="", help="whom to believe to be the log's server")
    parser.add_argument("--api-prefix", default="$JS.API")
    parser.add_argument("--origin", default="modelog.local/lifecycle", help="the log's name; never changed")
    parser.add_argument("--folder", type=Path, required=True, help="checkpoints, public keys and the tree")
    parser.add_argument("--key-folder", type=Path, required=True, help="the key; for this process alone")
    parser.add_argument("--asks", type=Path, help="where the archive asks for a new key; --folder when not given")
    parser.add_argument("--pause-seconds", type=float, default=0.5, help="how long facts are gathered before signing")
    return parser.parse_args(arguments)


def locked(folder: Path) -> int:
    """Keeps the folder for this process until it ends. SystemExit when another one has it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(f"another notary signs in {folder}; stop it first") from None
    return descriptor


async def run(given: argparse.Namespace) -> None:
    """Until SIGTERM or SIGINT, or until something that it does not get over."""
    client = await connect(
        given.nats,
        name="notary",
        user=given.user,
        password=lambda: Path(given.password_file).read_text().strip() if given.password_file else "",
        tls=ClientTls(given.ca_file),
    )
    log, tree, position = (
        JetStreamLog(client, api_prefix=given.api_prefix),
        TreeFiles(given.folder / "tree"),
        Position(),
    )
    notary = Notary(
        origin=given.origin,
        key=partial(open_key, given.folder, given.origin, given.key_folder),
        ledger=Ledger(Checkpoints(given.folder, given.origin)),
        roots=tree,
        position=position,
        log=log,
        clock=lambda: datetime.now(UTC),
        pause_seconds=given.pause_seconds,
        rotated=partial(rotate_if_asked, given.folder, secret=given.key_folder, asks=given.asks),
    )
    await asyncio.to_thread(tree.open)
    position.advance(tree.size)
    stopped = asyncio.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(one, stopped.set)
    work = [
        asyncio.create_task(one)
        for one in (Following(log, tree, position).run(), notary.run(), _alive(given.folder), stopped.wait())
    ]
    try:
        done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await client.close()


async def _alive(folder: Path) -> None:
    while True:
        (folder / "alive").touch()
        await asyncio.sleep(_ALIVE_SECONDS)


if __name__ == "__main__":
    wanted = parsed()
    telemetry.configure("notary", level="info", trace_share=0.0, export=False)
    held = locked(wanted.folder)
    uvloop.run(run(wanted))
