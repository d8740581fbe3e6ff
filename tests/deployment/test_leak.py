"""A replica that leaks drains and starts again, and no request through the gateway notices."""

import asyncio
from dataclasses import replace

from services.deployment.drivers.port import State
from tests.deployment import models
from tests.deployment.calls import Load, acall, eventually
from tests.deployment.conftest import Plane

PATH = "/risk/fraud-eu/v2/models/fraud/infer"
ROW = [1.0, 2.0, 3.0]
LIMIT_MIB = 400


async def test_a_leak_drains_and_starts_again_and_no_request_fails(plane: Plane) -> None:
    hungry = plane.workload(1, models.hungry(bytes_a_row=10 << 20), replicas=2)
    workload = replace(hungry, settings={"resident_mib": str(LIMIT_MIB), "batch_rows": "0"})
    both = await plane.ready(workload)
    await plane.route({1: both}, {1: 100})
    async with Load(plane.keeper.listen, PATH, models.request([ROW]), threads=1) as load:
        # What the runtime once took it keeps, as a leak would.
        assert (await acall(both[0], "/v2/models/fraud/infer", models.request([ROW] * 50)))[0] == 200

        async def left() -> bool:
            seen = await plane.seen(workload)
            return any(f"more than the {LIMIT_MIB} MiB" in one.problem for one in seen if one.state is not State.READY)

        await eventually(left)
        assert sum(one.state is State.READY for one in await plane.seen(workload)) == 1
        await plane.route({1: await plane.ready(workload)}, {1: 100})
        await asyncio.sleep(0.5)
    assert set(load.statuses) == {200}, load.statuses
    assert load.statuses[200] > 20
    problems = [one.problem for one in await plane.seen(workload)]
    assert sorted(one[:17] for one in problems) == ["", "started again, fo"]
