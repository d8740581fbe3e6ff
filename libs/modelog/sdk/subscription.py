"""The log as an iterator: from any revision, then live, over any number of broken connections."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import grpc

from modelog.sdk.breaks import Breaks
from modelog.sdk.errors import Refused, Unavailable
from modelog.sdk.facts import Entry

if TYPE_CHECKING:
    from modelog.archive.v1.archive_service_pb2 import ReadFactsRequest, ReadFactsResponse
    from modelog.archive.v1.types_pb2 import FactFilter

_RENEWAL_SECONDS = 0.1
# The archive says where it stands at least this often; silence for several times as long is a dead connection.
_HEARTBEAT_SECONDS = 5
_SILENCE_SECONDS = 4.0 * _HEARTBEAT_SECONDS


class Hole(Exception):
    """A revision that the log must have was not delivered: the archive's storage is damaged, do not go on."""


class Progress:
    """Where a reader stands, whichever way it reads: makes the next request, takes the replies, decides on breaks."""

    def __init__(
        self,
        *,
        from_revision: int,
        to_revision: int,
        filter: "FactFilter | None",  # noqa: A002 - the name of the field.
        follow: bool,
        patience_seconds: float,
        with_texts: bool = False,
    ) -> None:
        self.position = max(from_revision, 1) - 1
        self.head = 0
        self._to_revision = to_revision
        self._filter = filter
        self._follow = follow
        self._with_texts = with_texts
        self._breaks = Breaks(patience_seconds)
        self._renewed = False

    def request(self) -> "ReadFactsRequest":
        """Goes on behind the last position."""
        from modelog.archive.v1.archive_service_pb2 import ReadFactsRequest

        request = ReadFactsRequest(
            from_revision=self.position + 1,
            to_revision=self._to_revision,
            follow=self._follow,
            filter=self._filter,
            with_texts=self._with_texts,
        )
        request.heartbeat_interval.seconds = _HEARTBEAT_SECONDS
        return request

    def take(self, reply: "ReadFactsResponse") -> Iterator[Entry]:
        """The new entries of a reply; what was delivered before is left out, and a revision left out is a Hole."""
        self._breaks.heard()
        self._renewed = False
        self.head = max(self.head, reply.head)
        for entry in reply.entries:
            if entry.revision <= self.position:
                continue
            if self._filter is None and entry.revision != self.position + 1:
                raise Hole(f"revision {self.position + 1} was not delivered, {entry.revision} was")
            self.position = entry.revision
            yield Entry(entry.revision, entry.subject, entry.payload, reply.texts)
        self.position = max(self.position, reply.position)

    @property
    def silence_seconds(self) -> float | None:
        """How long no reply may come; without end while the past is read, where no heartbeat is promised."""
        return _SILENCE_SECONDS if self._follow else None

    @property
    def finished(self) -> bool:
        """Whether a reader that does not follow has everything it asked for."""
        return bool(self._to_revision) and self.position >= self._to_revision

    def pause(self, error: Refused) -> float:
        """Seconds to wait before reading on after a break; raises what will not pass, or lasts too long."""
        if error.reason == "TOKEN_EXPIRED" and not self._renewed:
            # A stream ends with the token it began with; the next call carries a new one, or fails.
            self._renewed = True
            return _RENEWAL_SECONDS
        return self._breaks.pause(error)


class Subscription:
    """`async for entry in subscription`: each fact once, in order of the log, without gap.

    `position` is the last revision looked at: keep it, and subscribe from position + 1 next time. `head` is the newest
    revision the archive knew of; their distance is the lag. Breaks are bridged for `patience_seconds` without a word
    from the archive; then, or for what will not pass, the refusal is raised. Raises Hole when a fact is missing.
    """

    def __init__(
        self,
        method: Callable[..., Any],
        *,
        from_revision: int = 1,
        to_revision: int = 0,
        filter: "FactFilter | None" = None,  # noqa: A002 - the name of the field.
        follow: bool = True,
        patience_seconds: float = float("inf"),
        with_texts: bool = False,
    ) -> None:
        self._method = method
        self._progress = Progress(
            from_revision=from_revision,
            to_revision=to_revision,
            filter=filter,
            follow=follow,
            patience_seconds=patience_seconds,
            with_texts=with_texts,
        )

    @property
    def position(self) -> int:
        return self._progress.position

    @property
    def head(self) -> int:
        return self._progress.head

    async def __aiter__(self) -> AsyncIterator[Entry]:
        progress = self._progress
        while not progress.finished:
            call = self._method(progress.request())
            try:
                replies = aiter(call)
                while (reply := await _next(replies, progress.silence_seconds)) is not None:
                    for entry in progress.take(reply):
                        yield entry
                return
            except TimeoutError:
                silent = Unavailable(grpc.StatusCode.UNAVAILABLE, "SILENT", "the archive is connected but says nothing")
                await asyncio.sleep(progress.pause(silent))
            except Refused as error:
                await asyncio.sleep(progress.pause(error))
            finally:
                call.cancel()


async def _next(replies: AsyncIterator[Any], silence_seconds: float | None) -> Any:
    """The next reply; None at the end, TimeoutError after a silence that no living archive keeps."""
    async with asyncio.timeout(silence_seconds):
        return await anext(replies, None)
