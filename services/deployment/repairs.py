"""What was found different from the facts and put right, until it is recorded."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from modelog.deployment.v1.people_pb2 import (
    REPAIR_MEANS_MADE_AGAIN,
    REPAIR_MEANS_PUT_BACK,
    REPAIR_MEANS_STARTED_AGAIN,
    Repair,
    RepairMeans,
)
from services.deployment.drivers.port import Change, Replica, State

_PAUSE_SECONDS = 60.0
_MOST_FOUND = 5


class Repairs:
    """Collects findings by endpoint; each endpoint gets one record a minute, with everything found since the last.

    The same finding is told once until it is recorded, however many turns it takes to put it right.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._clock = clock
        self._now = now
        self._ready: dict[str, Replica] = {}
        self._found: dict[str, list[Repair]] = {}
        self._next: dict[str, float] = {}

    def found(self, endpoint: str, what: str, *, on: str = "", means: RepairMeans = REPAIR_MEANS_PUT_BACK) -> None:
        """on: the object by the platform's name; the endpoint's route when empty."""
        known = self._found.setdefault(endpoint, [])
        if len(known) < _MOST_FOUND and what not in (one.finding for one in known):
            repair = Repair(object=on or f"route of {endpoint}", finding=what, means=means)
            repair.find_time.FromDatetime(self._now())
            known.append(repair)

    def changed(self, endpoint: str, change: Change, *, served: bool) -> None:
        """What a change of the driver's says of somebody else's doing; nothing when it was ours.

        served: the version has traffic, so all that it needs had been there.
        """
        if change.verb == "repair":
            self.found(endpoint, f"{change.what} was changed ({change.difference}) and is put right", on=change.what)
        elif change.verb == "start" and served:
            what = f"{change.what} was gone and is made again"
            self.found(endpoint, what, on=change.what, means=REPAIR_MEANS_MADE_AGAIN)

    def look(
        self, replicas: Iterable[Replica], wanted: Mapping[str, Iterable[str]], away: Collection[str] = ()
    ) -> None:
        """Notices replicas that had been ready and are gone; those nobody wants any more are none of its business.

        away: endpoints whose platform does not answer; what became of their replicas is seen when it does.

        Going by the run, for one that ends between `observe` and `apply` is started again without being seen down; and
        by the replicas of the look before, for one whose traces are gone as well is not seen at all.
        """
        before, self._ready = self._ready, {}
        for replica in replicas:
            known = before.pop(replica.id, None)
            if known is not None and replica.state is not State.STOPPING:
                if replica.state is not State.DOWN and replica.run == known.run:
                    self._ready[replica.id] = known
                else:
                    self._gone(known, wanted)
            if replica.state is State.READY:
                self._ready[replica.id] = replica
        for known in before.values():
            if known.key.endpoint in away:
                self._ready[known.id] = known
            else:
                self._gone(known, wanted)

    def _gone(self, replica: Replica, wanted: Mapping[str, Iterable[str]]) -> None:
        if replica.key.version in wanted.get(replica.key.endpoint, ()):
            what = f"replica {replica.id} was gone and is started again"
            self.found(replica.key.endpoint, what, on=replica.id, means=REPAIR_MEANS_STARTED_AGAIN)

    def due(self) -> list[tuple[str, Sequence[Repair]]]:
        """(endpoint, everything found) of those that may be recorded now."""
        now = self._clock()
        return [
            (endpoint, tuple(found))
            for endpoint, found in self._found.items()
            if found and now >= self._next.get(endpoint, 0.0)
        ]

    def recorded(self, endpoint: str) -> None:
        """What was due of an endpoint has been recorded."""
        self._found.pop(endpoint, None)
        self._next[endpoint] = self._clock() + _PAUSE_SECONDS

    def forget(self, but: Iterable[str]) -> None:
        """Drops endpoints that are there no more."""
        kept = set(but)
        for endpoint in [one for one in self._found if one not in kept]:
            del self._found[endpoint]
        for endpoint in [one for one in self._next if one not in kept]:
            del self._next[endpoint]
