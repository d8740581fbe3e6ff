"""What it costs to know who calls."""

import time
from typing import Any

from access.credentials import Proofs, proofs
from kernel.identity import Peer
from kernel.rooms import now
from kernel.settings import Settings
from suite.issuer import Issuer
from testkit.people import People
from tests.bench.effort import Effort
from tests.bench.ground import Ground
from tests.bench.outcome import Outcome, middle

_TARGET_PER_SECOND = 20_000
_CALLERS = 64
_PEER = Peer("ipv4:127.0.0.1:1")


async def tokens(ground: Ground, effort: Effort) -> Outcome:
    """Many callers whose tokens were seen before, as almost all are; beside it tokens that were not."""
    people = People(ground.folder)
    settings = Settings(nats_url="", postgres_url="", **people.settings())
    rounds = [await _round(proofs(settings, now), people.issuer, effort.verifications) for _ in range(effort.rounds)]
    return Outcome(
        name="tokens",
        question="tokens verified again, each with its cached signature",
        figure=middle(rounds, "per_second"),
        target=_TARGET_PER_SECOND,
        unit="/s",
        ours=f"{middle(rounds, 'per_second'):,.0f}/s",
        is_ratio=False,
        rounds=rounds,
        notes={"first time": f"{middle(rounds, 'first_per_second'):,.0f} tokens/s, with their signatures"},
    )


async def _round(proving: Proofs, issuer: Issuer, count: int) -> dict[str, Any]:
    calls = [{"authorization": f"Bearer {issuer.token(f'users/u{number}')}"} for number in range(_CALLERS)]
    await proving.caller({"authorization": f"Bearer {issuer.token('users/ada')}"}, _PEER)
    began = time.perf_counter()
    for call in calls:
        await proving.caller(call, _PEER)
    first_seconds = time.perf_counter() - began
    began = time.perf_counter()
    for number in range(count):
        await proving.caller(calls[number % _CALLERS], _PEER)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "per_second": count / seconds, "first_per_second": _CALLERS / first_seconds}
