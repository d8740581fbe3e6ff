"""A deployment service with its data plane, and somebody who writes the registry's and monitoring's facts."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from kernel.cause import Cause, fact_of
from kernel.fold import Kind, apply, event_type, kind
from kernel.jetstream import JetStreamLog, connect
from modelog.deployment.v1 import deployment_service_pb2 as rpc
from modelog.deployment.v1 import types_pb2 as types
from modelog.deployment.v1.deployment_service_pb2_grpc import DeploymentServiceStub
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1 import types_pb2 as registry_types
from modelog.type.v1.principal_pb2 import Principal
from modelog.type.v1.read_pb2 import ReadOptions
from services.deployment.__main__ import BLUEPRINT
from services.deployment.domain import KNOWN_VERSION
from services.deployment.domain.states import is_unfinished, words
from suite.nats_server import API_PREFIX, NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import Live, service
from tests.deployment import models
from tests.deployment.calls import acall, eventually

PROJECT = "projects/risk"
ENVIRONMENT = f"{PROJECT}/environments/production"
ENDPOINT = f"{PROJECT}/endpoints/fraud-eu"
PATH = "/v2/models/fraud/infer"
ROW = models.request([[1.0, 2.0, 3.0]])
BY = (("x-modelog-actor", "users/dora"),)
_numbers = itertools.count(1)


def version_name(number: int) -> str:
    return f"{PROJECT}/models/fraud/versions/{number}"


@dataclass
class Others:
    """Appends facts of other services to the log, as those services do."""

    nats: NatsServer
    states: dict[str, Any] = field(default_factory=dict)

    async def record(self, on: Kind, name: str, event: Message, *, by: str = "users/ada") -> int:
        state = self.states.setdefault(name, on.message())
        cause = Cause(Principal(id=by), f"other-{next(_numbers)}", datetime.now(UTC))
        fact = fact_of(on, name, state, event, cause, ())
        client = await connect(self.nats.address, name="other", user=on.service, password=self._password(on.service))
        try:
            log = JetStreamLog(client, api_prefix=API_PREFIX)
            payload = fact.SerializeToString(deterministic=True)
            revision = await log.append(
                on.subject(name), payload, expected=state.revision, fact_id=fact.id, event=event_type(fact)
            )
        finally:
            await client.close()
        apply(on, state, fact, revision)
        return revision

    def _password(self, user: str) -> str:
        return self.nats.password_file(user).read_text().strip()


def foreign(service_name: str, pattern: str) -> Kind:
    """A kind of another service whose events do not matter here beyond their order."""
    return kind(service_name, pattern, types.KnownVersion, lambda *_: None, listens=())


@dataclass
class Town:
    live: Live
    others: Others
    artifacts: Path
    newest: int = 0

    @property
    def stub(self) -> Any:
        return DeploymentServiceStub(self.live.channel)

    async def register(self, number: int, content: bytes, *, approvers: tuple[str, ...] = ("users/rita",)) -> str:
        """A version in production, approved."""
        uri, digest = models.store(self.artifacts, content)
        columns = [registry_types.Column(name=name, type=registry_types.DATA_TYPE_FLOAT32) for name in models.COLUMNS]
        artifact = registry_types.Artifact(uri=uri, sha256=digest, size_bytes=len(content), format="onnx")
        registered = registry.VersionRegistered(
            artifact=artifact,
            signature=registry_types.Signature(inputs=columns),
            stage="development",
            phase=registry_types.PHASE_DEVELOPMENT,
        )
        await self.others.record(KNOWN_VERSION, version_name(number), registered)
        return await self.stage(number, registry_types.PHASE_PRODUCTION, digest, approvers)

    async def stage(self, number: int, phase: Any, digest: str, approvers: tuple[str, ...] = ()) -> str:
        stage = registry_types.Phase.Name(phase).removeprefix("PHASE_").lower()
        changed = registry.StageChanged(to_stage=stage, to_phase=phase, artifact_sha256=digest, approvers=approvers)
        revision = await self.others.record(KNOWN_VERSION, version_name(number), changed)
        await self.live.rooms.resources.wait(revision)
        return version_name(number)

    async def found(self, *, replicas: int = 0, **values: Any) -> str:
        """The environment and the endpoint; its address."""
        await self.stub.DefineEnvironment(
            rpc.DefineEnvironmentRequest(parent=PROJECT, environment_id="production", **values), metadata=BY
        )
        reply = await self.stub.CreateEndpoint(
            rpc.CreateEndpointRequest(
                parent=PROJECT, endpoint_id="fraud-eu", environment=ENVIRONMENT, replicas=replicas
            ),
            metadata=BY,
        )
        await self.live.rooms.resources.wait(reply.revision)
        return str(reply.address)

    async def request(self, number: int, **strategy: Any) -> str:
        """Asks for a rollout; the name of it."""
        strategy = strategy or {"recreate": types.Recreate()}
        request = rpc.RequestRolloutRequest(
            parent=ENDPOINT, version=version_name(number), strategy=types.Strategy(**strategy)
        )
        reply = await self.stub.RequestRollout(request, metadata=BY)
        self.newest = reply.revision
        return str(reply.name)

    async def rollout(self, name: str) -> types.Rollout:
        request = rpc.GetRolloutRequest(name=name, read=ReadOptions(at_least=self.newest))
        found: types.Rollout = await self.stub.GetRollout(request)
        return found

    async def endpoint(self) -> types.Endpoint:
        """With everything that the log holds by now."""
        request = rpc.GetEndpointRequest(name=ENDPOINT)
        request.read.at_least = await self.live.rooms.log.head()
        found: types.Endpoint = await self.stub.GetEndpoint(request)
        return found

    async def finished(self, name: str, *, seconds: float = 40.0) -> types.Rollout:
        async def over() -> types.Rollout | None:
            state = await self.rollout(name)
            return None if is_unfinished(state.state) else state

        found: types.Rollout = await eventually(over, seconds=seconds)
        return found

    async def reaches(self, name: str, *states: int) -> types.Rollout:
        async def there() -> types.Rollout | None:
            state = await self.rollout(name)
            return state if state.state in states else None

        try:
            found: types.Rollout = await eventually(there)
        except AssertionError:
            state = await self.rollout(name)
            raise AssertionError(f"{words(state.state)}: {state}") from None
        return found

    async def predict(self, address: str) -> tuple[int, Any]:
        host, _, path = address.removeprefix("http://").partition("/")
        return await acall(host, f"/{path}{PATH}", ROW)

    async def answers(self, address: str, status: int) -> bool:
        """Waits until the endpoint answers with this status; the gateway starts beside the service, not before it."""

        async def asked() -> bool:
            try:
                return (await self.predict(address))[0] == status
            except OSError:
                return False

        return bool(await eventually(asked))


@asynccontextmanager
async def town(
    nats: NatsServer, postgres: PostgresServer, folder: Path, schema: str, **settings: Any
) -> AsyncIterator[Town]:
    given = {"outlive": False, "lease_seconds": 5.0} | settings
    async with service(BLUEPRINT, nats, postgres, folder, schema=schema, **given) as live:
        yield Town(live, Others(nats), folder / "artifacts")
