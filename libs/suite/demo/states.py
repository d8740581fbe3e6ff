"""Reading what every service says at one moment, to be compared with what it says of that moment later."""

from collections.abc import Mapping

from modelog.archive.v1.archive_service_pb2 import GetCheckpointRequest
from modelog.deployment.v1 import deployment_service_pb2 as deployment
from modelog.registry.v1 import registry_service_pb2 as registry
from modelog.sdk import Client
from modelog.status.v1.status_service_pb2 import GetStatusRequest
from suite.demo.stage import Names, Stage

_TRIES = 20


async def head(client: Client, service: str = "archive") -> int:
    """The newest revision of the log."""
    status = await client.status(service).GetStatus(GetStatusRequest())
    return status.head


async def note(stage: Stage) -> None:
    """Keeps the states of now, at a revision behind which nothing happened while they were read."""
    for _ in range(_TRIES):
        revision = await head(stage.client)
        await stage.journal.reach(revision)
        states = await read(stage.client, stage.names)
        if await head(stage.client) == revision:
            break
    else:
        raise RuntimeError("the log does not come to rest after step 3")
    stage.seen.states, stage.seen.revision = dict(states), revision
    stage.seen.checkpoint = await stage.client.archive.GetCheckpoint(
        GetCheckpointRequest(covering_revision=revision, wait=True)
    )


async def read(client: Client, names: Names) -> Mapping[str, bytes]:
    """Resources of the play by name, serialized in the one canonical way."""
    found = {
        names.project: await client.registry.GetProject(registry.GetProjectRequest(name=names.project)),
        names.model: await client.registry.GetModel(registry.GetModelRequest(name=names.model)),
        names.version(1): await client.registry.GetVersion(registry.GetVersionRequest(name=names.version(1))),
        names.environment: await client.deployment.GetEnvironment(
            deployment.GetEnvironmentRequest(name=names.environment)
        ),
    }
    for endpoint in (names.clinic, names.laboratory):
        found[endpoint] = await client.deployment.GetEndpoint(deployment.GetEndpointRequest(name=endpoint))
        rollout = f"{endpoint}/rollouts/1"
        found[rollout] = await client.deployment.GetRollout(deployment.GetRolloutRequest(name=rollout))
    return {name: message.SerializeToString(deterministic=True) for name, message in found.items()}
