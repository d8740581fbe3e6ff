"""What is known of endpoints at rest, so that a turn over hundreds of them costs next to nothing.

An endpoint rests when nothing is under way and everything wanted is ready. It is seen as before while the revisions of
all that its sight was made from are the same and its replicas are the very same observations. Whatever is told to the
platform is told again now and then all the same, for somebody may have changed what no observation shows.
"""

import time
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from services.deployment.drivers.port import Replica
from services.deployment.queries import Work

if TYPE_CHECKING:
    from services.deployment.sights import Sight

_Value = TypeVar("_Value")
# Within the ten seconds in which a drift has to be healed, with room for the turn itself.
_APPLY_SECONDS = 7.0
# Facts that moved no revision, like a quarantine, are seen by then.
_LOAD_SECONDS = 60.0


class _Kept(NamedTuple):
    work: Work
    replicas: Sequence[tuple[str, Replica]]
    sight: "Sight"
    load_at: float


class Rest:
    """Sights of endpoints at rest, by endpoint."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._apply_at: dict[str, float] = {}

    def known(self, work: Work, replicas: Sequence[tuple[str, Replica]]) -> "Sight | None":
        """The sight of before, where it would come out the same now."""
        kept = self._kept.get(work.endpoint)
        if kept is None or kept.work != work or kept.replicas != replicas or self._clock() >= kept.load_at:
            return None
        return kept.sight

    def keep(self, work: Work, replicas: Sequence[tuple[str, Replica]], sight: "Sight") -> None:
        """Remembers a sight that has just been made; one of an endpoint at work is forgotten."""
        if sight.settled:
            load_at = self._clock() + _spread(work.endpoint, _LOAD_SECONDS)
            self._kept[work.endpoint] = _Kept(work, replicas, sight, load_at)
        else:
            self._kept.pop(work.endpoint, None)
        self._apply_at.pop(work.endpoint, None)

    def skips(self, endpoint: str) -> bool:
        """Whether its platform has been told everything a moment ago, and need not be told again in this turn."""
        if endpoint not in self._kept:
            return False
        if self._clock() < self._apply_at.get(endpoint, 0.0):
            return True
        self._apply_at[endpoint] = self._clock() + _spread(endpoint, _APPLY_SECONDS)
        return False

    def unchanged(self, work: Sequence[Work]) -> bool:
        """Whether nothing was recorded of any endpoint since all of them came to rest."""
        return len(work) == len(self._kept) and all(
            (kept := self._kept.get(one.endpoint)) is not None and kept.work == one for one in work
        )

    def forget(self, but: Collection[str]) -> None:
        """Drops endpoints that are there no more."""
        if self._kept.keys() - but:
            self._kept = _only(self._kept, but)
        if self._apply_at.keys() - but:
            self._apply_at = _only(self._apply_at, but)


def _only(known: Mapping[str, _Value], names: Collection[str]) -> dict[str, _Value]:
    return {name: value for name, value in known.items() if name in names}


def _spread(endpoint: str, seconds: float) -> float:
    """Not all at once: between three quarters of that and all of it."""
    return seconds * (1 - zlib.crc32(endpoint.encode()) % 100 / 400)
