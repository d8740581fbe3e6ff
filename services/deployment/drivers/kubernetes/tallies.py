"""Requests of one version, summed over its pods, of which each counts its own and may start anew or go."""

import json
from collections.abc import Mapping

from services.deployment.fetch import Unreachable, fetch
from services.deployment.gateway.counts import Counts, added

PATH = "/modelog/counts"
_SECONDS = 2.0


class Tallies:
    """Sums that never shrink: what a pod had counted when it was last asked stays counted when it is gone."""

    def __init__(self) -> None:
        self._pods: dict[str, Counts] = {}
        self._gone = Counts()

    async def ask(self, pods: Mapping[str, str]) -> Counts:
        """pods: address of each that is ready, by uid. One that does not answer counts as it did before."""
        for uid in self._pods.keys() - pods.keys():
            self._gone = added(self._gone, self._pods.pop(uid))
        for uid, address in pods.items():
            try:
                status, body = await fetch(address, PATH, timeout=_SECONDS)
            except Unreachable:
                continue
            if status == 200:
                self._heard(uid, _counts(json.loads(body)))
        total = self._gone
        for counts in self._pods.values():
            total = added(total, counts)
        return total

    def _heard(self, uid: str, now: Counts) -> None:
        before = self._pods.get(uid, Counts())
        if now.requests < before.requests:  # Its container has started anew.
            self._gone = added(self._gone, before)
        self._pods[uid] = now


def _counts(plain: Mapping[str, object]) -> Counts:
    latency = tuple((float(bound), int(count)) for bound, count in plain["latency"])  # type: ignore[attr-defined]
    return Counts(int(plain["requests"]), int(plain["errors"]), latency)  # type: ignore[call-overload]
