"""Counts of one version over pods that come, go and start anew: they never shrink."""

import json
from typing import Any

import pytest

from services.deployment.drivers.kubernetes import tallies
from services.deployment.drivers.kubernetes.tallies import Tallies
from services.deployment.fetch import Unreachable


@pytest.fixture
def pods(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What each address answers; those that are not in it do not."""
    answers: dict[str, Any] = {}

    async def fetch(address: str, path: str, *, timeout: float) -> tuple[int, bytes]:
        assert path == "/modelog/counts"
        if address not in answers:
            raise Unreachable(address)
        return 200, json.dumps(answers[address]).encode()

    monkeypatch.setattr(tallies, "fetch", fetch)
    return answers


def said(requests: int, errors: int = 0) -> dict[str, Any]:
    return {"requests": requests, "errors": errors, "latency": [[1.0, requests - 1], [2.0, requests]]}


async def test_sums_over_pods_never_shrink(pods: dict[str, Any]) -> None:
    tally = Tallies()
    assert (await tally.ask({})).requests == 0
    pods["a"], pods["b"] = said(10, 1), said(5)
    both = {"uid-a": "a", "uid-b": "b"}
    counts = await tally.ask(both)
    assert (counts.requests, counts.errors, counts.latency) == (15, 1, ((1.0, 13), (2.0, 15)))
    del pods["b"]  # It does not answer for once.
    assert (await tally.ask(both)).requests == 15
    pods["b"] = said(2)  # It has started anew.
    assert (await tally.ask(both)).requests == 17
    counts = await tally.ask({"uid-b": "b"})  # The other one was scaled away.
    assert (counts.requests, counts.errors) == (17, 1)
    pods["c"] = said(100, 50)
    counts = await tally.ask({"uid-b": "b", "uid-c": "c"})
    assert (counts.requests, counts.errors, counts.latency[-1]) == (117, 51, (2.0, 117))
