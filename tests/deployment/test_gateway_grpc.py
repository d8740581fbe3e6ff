"""gRPC inference through Envoy: to the endpoint that the metadata names, by weight, and counted by gRPC status."""

from collections import Counter
from typing import Any

import grpc
import pytest

from modelog.inference.v2 import open_inference_grpc_pb2 as v2
from modelog.inference.v2 import open_inference_grpc_pb2_grpc as v2_grpc
from services.deployment.drivers.port import State, Workload
from services.deployment.fetch import Unreachable
from services.deployment.gateway.config import Route, Table, cluster_of
from services.deployment.gateway.counts import Counts, added
from services.deployment.gateway.grpc import beside
from tests.deployment import models
from tests.deployment.calls import acall, eventually
from tests.deployment.conftest import ENDPOINT, Plane, version

ENDPOINT_METADATA = (("modelog-endpoint", "risk/fraud-eu"),)
SECONDS = 20.0


def asked(rows: int = 1) -> v2.ModelInferRequest:
    request = v2.ModelInferRequest(model_name="fraud", id="q")
    tensor = request.inputs.add(name="X", datatype="FP32", shape=[rows, 3])
    tensor.contents.fp32_contents.extend([1.0, 2.0, 3.0] * rows)
    return request


async def both(plane: Plane, workload: Workload) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where the ready replicas of a workload speak HTTP, and where gRPC."""
    http = await plane.ready(workload)
    return http, tuple(one.grpc_address for one in await plane.seen(workload) if one.state is State.READY)


async def test_grpc_reaches_the_endpoint_that_is_named_by_weight_and_is_counted(plane: Plane) -> None:
    weights = {1: 70, 2: 30}
    clusters: dict[str, tuple[str, ...]] = {}
    for number in weights:
        name = cluster_of(ENDPOINT, version(number))
        clusters[name], clusters[beside(name)] = await both(plane, plane.workload(number, models.failing()))
    route = Route(ENDPOINT, {cluster_of(ENDPOINT, version(number)): weight for number, weight in weights.items()})
    table = Table({ENDPOINT: route}, clusters)

    async def routed() -> bool:
        await plane.keeper.ensure()
        return ENDPOINT in (await plane.gateway.apply(table)).routed

    await eventually(routed)
    assert plane.gateway.routes() == {ENDPOINT: route}
    async with grpc.aio.insecure_channel(plane.keeper.listen) as channel:
        stub = v2_grpc.GRPCInferenceServiceStub(channel)
        answered = await by_version(stub, 200)
        assert 30 < answered[version(2)] < 90  # Four standard deviations of a share of 0.3 in 200.
        assert answered.total() == 200
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stub.ModelInfer(asked(2), metadata=ENDPOINT_METADATA, timeout=SECONDS)
        assert failed.value.code() is grpc.StatusCode.INTERNAL
        with pytest.raises(grpc.aio.AioRpcError) as wrong:
            await stub.ModelInfer(v2.ModelInferRequest(model_name="fraud"), metadata=ENDPOINT_METADATA, timeout=SECONDS)
        assert wrong.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.aio.AioRpcError) as nowhere:
            await stub.ModelInfer(asked(), metadata=(("modelog-endpoint", "risk/other"),), timeout=SECONDS)
        assert nowhere.value.code() is grpc.StatusCode.UNIMPLEMENTED
    status, _ = await acall(
        plane.keeper.listen, "/risk/fraud-eu/v2/models/fraud/infer", models.request([[1.0] * 3] * 7)
    )
    assert status == 200

    async def counted() -> bool:
        found = [await plane.gateway.counts(name) for name in clusters if not name.endswith("_grpc")]
        assert sum(one.errors for one in found) == 1
        return sum(one.requests for one in found) == 203 and sum(one.latency[-1][1] for one in found) == 203

    await eventually(counted)


async def by_version(stub: Any, calls: int) -> Counter[str]:
    answered: Counter[str] = Counter()
    for _ in range(calls):
        call = stub.ModelInfer(asked(7), metadata=ENDPOINT_METADATA, timeout=SECONDS)
        assert (await call).id == "q"
        answered[str(dict(await call.trailing_metadata())["x-modelog-version"])] += 1
    return answered


async def test_a_route_waits_for_a_grpc_replica_where_there_is_one(plane: Plane) -> None:
    workload = plane.workload(1, models.classifier())
    name = cluster_of(ENDPOINT, version(1))
    http, _ = await both(plane, workload)
    table = Table({ENDPOINT: Route(ENDPOINT, {name: 100})}, {name: http, beside(name): ("127.0.0.1:9",)})
    await plane.keeper.ensure()

    async def heard() -> bool:
        await plane.gateway.apply(table)
        try:
            used = await plane.gateway._used()
        except Unreachable:
            return False
        return any(used.get(name, {}).values())

    await eventually(heard)
    assert ENDPOINT not in (await plane.gateway.apply(table)).routed
    alone = Table(table.routes, {name: http})

    async def routed() -> bool:
        return ENDPOINT in (await plane.gateway.apply(alone)).routed

    await eventually(routed)


def test_counts_of_two_doors_add_up() -> None:
    http, rpc = Counts(3, 1, ((1.0, 2), (2.0, 3))), Counts(2, 0, ((1.0, 1), (2.0, 2)))
    assert added(http, rpc) == Counts(5, 1, ((1.0, 3), (2.0, 5)))
    assert added(http, Counts(0, 0)) == http
