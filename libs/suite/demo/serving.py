"""Step 3: real inference servers behind a real proxy, and live requests that decide whether version 1 may stay."""

from modelog.deployment.v1 import deployment_service_pb2 as rpc
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1.types_pb2 import Recreate, Strategy
from modelog.registry.v1 import registry_service_pb2 as registry_rpc
from modelog.registry.v1.types_pb2 import PHASE_PRODUCTION
from suite.demo import states
from suite.demo.rollouts import canary, request, succeeded
from suite.demo.stage import MINA, OTTO, PETRA, Stage
from suite.demo.traffic import Traffic

_LEAST_RIGHT = 0.92


async def play(stage: Stage) -> str:
    await _addresses(stage)
    # Nothing served before, so there is nothing to share with: the first version is watched under all of the traffic.
    first = await request(stage, stage.names.clinic, 1, canary((100, 2.0)))
    second = await request(stage, stage.names.laboratory, 1, Strategy(recreate=Recreate()))
    stage.note("starting inference servers")
    await stage.journal.first(facts.StepStarted, of=first)
    async with await traffic_of(stage) as traffic:
        stage.note("watching live requests to version 1")
        await succeeded(stage, first, "version 1 holds under live requests")
        await traffic.more(20)
    await succeeded(stage, second, "version 1 serves the second endpoint")
    await crown(stage, 1)
    statuses = sorted({answer.status for answer in traffic.answers})
    stage.report.check("statuses of all live requests to version 1", [200], statuses)
    right = sum(answer.label == answer.truth for answer in traffic.answers) / len(traffic.answers)
    stage.report.check(
        "live answers of version 1 are right", f"at least {_LEAST_RIGHT}", round(right, 3), ok=right >= _LEAST_RIGHT
    )
    await states.note(stage)
    return f"version 1 serves two endpoints through Envoy and answered {len(traffic.answers)} live requests"


async def _addresses(stage: Stage) -> None:
    """An environment that admits only what is in production and approved, and two endpoints in it."""
    deployment, names = stage.client.deployment, stage.names
    await deployment.DefineEnvironment(
        rpc.DefineEnvironmentRequest(
            parent=names.project,
            environment_id=names.environment.rpartition("/")[2],
            driver="process",
            admitted_phases=[PHASE_PRODUCTION],
            approvals_needed=2,
            protected=True,
            description="Patients depend on it.",
        ),
        metadata=stage.by(PETRA),
    )
    for endpoint in (names.clinic, names.laboratory):
        await deployment.CreateEndpoint(
            rpc.CreateEndpointRequest(
                parent=names.project,
                endpoint_id=endpoint.rpartition("/")[2],
                environment=names.environment,
                replicas=1,
            ),
            metadata=stage.by(OTTO),
        )


async def traffic_of(stage: Stage, name: str = "", *, per_second: float = 100.0) -> Traffic:
    """Live requests of patients measured by the old scanner, to the clinic's endpoint or the one named."""
    request = rpc.GetEndpointRequest(name=name or stage.names.clinic)
    endpoint = await stage.client.deployment.GetEndpoint(request)
    return Traffic(endpoint.address, stage.names.model, stage.parts.live, per_second=per_second)


async def crown(stage: Stage, number: int) -> str:
    """Points the alias to a version; the version it pointed to before."""
    moved = await stage.client.registry.AssignAlias(
        registry_rpc.AssignAliasRequest(name=stage.names.model, alias="champion", version=stage.names.version(number)),
        metadata=stage.by(MINA),
    )
    return moved.displaced_version
