"""What was found different from the facts and put right, until it is recorded."""

import time
from collections.abc import Callable, Iterable, Mapping

from services.deployment.drivers.port import Replica, State

_PAUSE_SECONDS = 60.0
_MOST_FOUND = 5


class Repairs:
    """Collects findings by endpoint; each endpoint gets one record a minute, with everything found since the last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ready_runs: dict[str, str] = {}
        self._found: dict[str, list[str]] = {}
        self._next: dict[str, float] = {}

    def found(self, endpoint: str, what: str) -> None:
        known = self._found.setdefault(endpoint, [])
        if what not in known and len(known) < _MOST_FOUND:
            known.append(what)

    def look(self, replicas: Iterable[Replica], wanted: Mapping[str, Iterable[str]]) -> None:
        """Notices replicas that had been ready and are gone; those nobody wants any more are none of its business.

        Going by the run, for one that ends between `observe` and `apply` is started again without being seen down.
        """
        before, self._ready_runs = self._ready_runs, {}
        for replica in replicas:
            run = before.get(replica.id)
            if run is not None and replica.state is not State.STOPPING:
                if replica.state is not State.DOWN and replica.run == run:
                    self._ready_runs[replica.id] = run
                elif replica.key.version in wanted.get(replica.key.endpoint, ()):
                    self.found(replica.key.endpoint, f"replica {replica.id} was gone and is started again")
            if replica.state is State.READY:
                self._ready_runs[replica.id] = replica.run

    def due(self) -> list[tuple[str, str]]:
        """(endpoint, everything found) of those that may be recorded now."""
        now = self._clock()
        return [
            (endpoint, "; ".join(found))
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
