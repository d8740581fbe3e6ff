"""Everything recorded since the play began, as it is recorded: what the demo waits on instead of the clock."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import Message

from modelog.sdk import Client, Entry

SECONDS = 60.0


class Late(Exception):
    """A fact that has to follow did not come in time."""


class Journal:
    """Use it as `async with`. entries: one for each revision from `begin` on, in order."""

    def __init__(self, client: Client, begin: int) -> None:
        self.entries: list[Entry] = []
        self.begin = begin
        self._client = client
        self._changed = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Journal":
        self._reading = asyncio.create_task(self._read(), name="journal")
        self._reading.add_done_callback(lambda _: self._changed.set())
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Reads no further; what was read stays."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    @property
    def position(self) -> int:
        return self.begin - 1 + len(self.entries)

    async def _read(self) -> None:
        async for entry in self._client.subscribe(self.begin):
            self.entries.append(entry)
            self._changed.set()

    async def reach(self, revision: int, *, seconds: float = SECONDS) -> None:
        """Waits until everything up to `revision` is here."""
        await self._until(lambda: self.position >= revision or None, f"revision {revision}", seconds)

    async def first(
        self,
        *kinds: type[Message],
        of: str = "",
        after: int = 0,
        where: Callable[[Any], bool] = lambda _event: True,
        seconds: float = SECONDS,
    ) -> Entry:
        """Waits for the first fact behind revision `after` of one of these kinds, of the resource `of` if named."""
        scanned = max(after - self.begin + 1, 0)

        def look() -> Entry | None:
            nonlocal scanned
            while scanned < len(self.entries):
                entry = self.entries[scanned]
                scanned += 1
                event = entry.event
                if isinstance(event, kinds) and (not of or _resource(entry) == of) and where(event):
                    return entry
            return None

        names = " or ".join(kind.DESCRIPTOR.name for kind in kinds)
        found: Entry = await self._until(look, f"{names} of {of or 'anything'}", seconds)
        return found

    def every(self, kind: type[Message], *, of: str = "") -> Sequence[Entry]:
        """The facts of a kind so far."""
        found = [entry for entry in self.entries if isinstance(entry.event, kind)]
        return [entry for entry in found if not of or _resource(entry) == of]

    def between(self, after: int, last: int) -> Sequence[Entry]:
        """Facts behind `after`, up to and including `last`."""
        return self.entries[max(after + 1 - self.begin, 0) : last + 1 - self.begin]

    async def _until(self, look: Callable[[], Any], what: str, seconds: float) -> Any:
        try:
            async with asyncio.timeout(seconds):
                while (found := look()) is None:
                    self._changed.clear()
                    if self._reading is None or self._reading.done():
                        self._raise()
                    await self._changed.wait()
                return found
        except TimeoutError:
            last = self.entries[-1] if self.entries else None
            newest = f"{last.revision} {last.subject}" if last else "nothing"
            raise Late(f"no {what} within {seconds:g} s; the newest fact is {newest}") from None

    def _raise(self) -> None:
        if self._reading is not None and not self._reading.cancelled():
            self._reading.result()
        raise Late("the log is not read any more")


def _resource(entry: Entry) -> str:
    return entry.fact.resource if entry.fact else ""
