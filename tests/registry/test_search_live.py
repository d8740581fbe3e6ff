"""Filters, orders and search over a running registry, now and as of past moments."""

from typing import Any

from tests.registry.build import MODEL_NAME, evaluation
from tests.registry.office import Office

LIST = {"parent": MODEL_NAME}


async def found(office: Office, filter_: str = "", order_by: str = "", **fields: Any) -> list[int]:
    reply = await office.ListVersions(**LIST, filter=filter_, order_by=order_by, **fields)
    return [int(one.name.rpartition("/")[2]) for one in reply.versions]


async def stocked(office: Office) -> None:
    await office.found_model()
    for number, (auc, team) in enumerate([(0.91, "risk"), (0.85, "risk"), (0.97, "fraud"), (0.88, "")], 1):
        name = await office.register(
            hyperparameters={"trees": str(100 * number)},
            documentation={"summary": f"Detecting card fraud, try {number}"},
        )
        await office.RecordEvaluation(name=name, evaluation_id="holdout", evaluation=evaluation(auc))
        if team:
            await office.SetTag(name=name, key="team", value=team)
    await office.live.rooms.resources.catch_up()


async def test_lists_take_filters_and_orders(registry: Office) -> None:
    await stocked(registry)
    assert await found(registry, "tags.team = risk") == [1, 2]
    assert await found(registry, "tags.team:*") == [1, 2, 3]
    assert await found(registry, "-tags:team") == [4]
    assert await found(registry, "metrics.auc >= 0.9") == [1, 3]
    assert await found(registry, "evaluations.holdout.metrics.auc > 0.9 tags.team = fraud") == [3]
    assert await found(registry, "hyperparameters.trees < 300 OR tags.team = fraud") == [1, 2, 3]
    assert await found(registry, "detect cards") == [1, 2, 3, 4]
    assert await found(registry, "artifact.format = onn* stage:DEV") == [1, 2, 3, 4]
    assert await found(registry, order_by="metrics.auc desc") == [3, 1, 4, 2]
    assert await found(registry, order_by="tags.team, name desc") == [3, 2, 1, 4]
    assert await found(registry, order_by="create_time desc") == [4, 3, 2, 1]
    assert await found(registry, "metrics.auc < 0.95", "tags.team desc, metrics.auc") == [2, 1, 4]
