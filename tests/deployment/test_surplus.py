"""Replicas that are too many stop when the gateway has let go of them, and not before."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from modelog.deployment.v1.types_pb2 import Endpoint, Environment, Rollout
from services.deployment.controller import Controller
from services.deployment.domain.conduct import Scene
from services.deployment.drivers.port import Change, Key, Workload
from services.deployment.gateway.config import cluster_of
from services.deployment.gateway.envoy import Applied
from services.deployment.gateway.grpc import beside
from services.deployment.platforms import Platform
from services.deployment.sights import Sight
from tests.deployment.build import ENDPOINT_NAME

VERSION = "projects/risk/models/fraud/versions/1"
CLUSTER = cluster_of(ENDPOINT_NAME, VERSION)
WORKLOAD = Workload(Key(ENDPOINT_NAME, VERSION), 1, "cas:sha256/00", "00", "onnx", ())


class Told:
    """A driver that remembers what it was told."""

    def __init__(self) -> None:
        self.workloads: list[Workload] = []

    async def apply(self, workload: Workload) -> Sequence[Change]:
        self.workloads.append(workload)
        return ()


def address_of(endpoint: str, settings: Mapping[str, str]) -> str:
    return endpoint + str(settings)


@pytest.mark.parametrize("behind", [CLUSTER, beside(CLUSTER), "risk_other_fraud_1", ""])
async def test_surplus_stops_when_nobody_asks_it_any_more(behind: str) -> None:
    driver = Told()
    platform = Platform(cast(Any, driver), cast(Any, None), address_of)
    rooms = SimpleNamespace(resources=SimpleNamespace(load=lambda: None))
    controller = Controller(cast(Any, rooms), {"process": platform})
    sight = Sight(
        Endpoint(name=ENDPOINT_NAME),
        Environment(driver="process"),
        Rollout(),
        Scene(datetime.now(UTC)),
        wanted={VERSION: 1},
        counts={VERSION: 2},
        workloads=[WORKLOAD],
    )
    await controller._stop([sight], {"process": ()}, {"process": Applied(behind=frozenset({behind}))})
    assert driver.workloads == ([] if behind.startswith(CLUSTER) else [WORKLOAD])
