"""The blocking reader of the log."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from modelog.sdk.errors import Refused
from modelog.sdk.facts import Entry
from modelog.sdk.subscription import Progress

if TYPE_CHECKING:
    from modelog.archive.v1.types_pb2 import FactFilter


class SyncSubscription:
    """`for entry in subscription`: as Subscription does it. A dead connection is noticed by the channel's keepalive."""

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

    def __iter__(self) -> Iterator[Entry]:
        progress = self._progress
        while not progress.finished:
            call = self._method(progress.request())
            try:
                for reply in call:
                    yield from progress.take(reply)
                return
            except Refused as error:
                time.sleep(progress.pause(error))
            finally:
                call.cancel()
