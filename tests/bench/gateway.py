"""What the gateway adds to an inference: through Envoy against straight to the replica, at the same offered load."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from services.deployment.drivers.lease import keep
from services.deployment.gateway.envoy import Gateway
from services.deployment.gateway.files import Files
from tests.bench.children import Child
from tests.bench.effort import Effort
from tests.bench.ground import Ground
from tests.bench.outcome import Outcome, middle, ratio
from tests.deployment import models
from tests.deployment.conftest import LEASE_SECONDS, Plane, make_driver, make_keeper

_TARGET = 1.5
_PATH = "/v2/models/fraud/infer"
_GATEWAY_PATH = f"/risk/fraud-eu{_PATH}"


@asynccontextmanager
async def _plane(folder: Path) -> AsyncIterator[Plane]:
    folder.mkdir()
    keeping = asyncio.create_task(keep(folder / "lease", LEASE_SECONDS))
    keeper = make_keeper(folder)
    files = Files(keeper.folder)
    files.prepare(listen=keeper.listen, admin=keeper.admin)
    made = Plane(folder, make_driver(folder), keeper, Gateway(files, keeper.admin))
    try:
        yield made
    finally:
        await keeper.close()
        await made.driver.end()
        keeping.cancel()


async def gateway(ground: Ground, effort: Effort) -> Outcome:
    """Both latencies in turn, of one small model on one replica."""
    body = json.dumps(models.request([[1.0, 2.0, 3.0]]))
    async with _plane(ground.folder / "gateway") as plane, Child("tests.bench.requests") as callers:
        addresses = await plane.ready(plane.workload(1, models.classifier()))
        await plane.route({1: addresses}, {1: 100})
        pace = {"per_second": effort.paced_per_second, "seconds": effort.paced_seconds / 2}
        straight = {"address": addresses[0], "path": _PATH, "body": body} | pace
        through = {"address": plane.keeper.listen, "path": _GATEWAY_PATH, "body": body} | pace
        for warm in (straight, through):
            await callers.ask("offer", **(warm | {"seconds": 1.0}))
        rounds = [
            (await callers.ask("offer", **straight), await callers.ask("offer", **through))
            for _ in range(effort.rounds)
        ]
    return _outcome(rounds, effort)


def _outcome(rounds: list[tuple[dict[str, Any], dict[str, Any]]], effort: Effort) -> Outcome:
    lower, ours = [one[0] for one in rounds], [one[1] for one in rounds]
    ratios = {key: ratio(rounds, key) for key in ("p50_ms", "p99_ms")}
    return Outcome(
        name="gateway",
        question=f"an inference through Envoy / straight, {effort.paced_per_second}/s, the worse of p50 and p99",
        figure=max(ratios.values()),
        target=_TARGET,
        unit="ms",
        ours=f"{middle(ours, 'p50_ms'):.2f} {middle(ours, 'p99_ms'):.2f} ms",
        floor=f"{middle(lower, 'p50_ms'):.2f} {middle(lower, 'p99_ms'):.2f} ms",
        at_most=True,
        rounds=rounds,
        notes={"ratio of p50, of p99": f"{ratios['p50_ms']:.2f}, {ratios['p99_ms']:.2f}"},
    )
