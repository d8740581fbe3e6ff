"""The door of verdicts of the past."""

from typing import NamedTuple

from access.fold import EVERYWHERE
from kernel.errors import NotFound
from kernel.names import project_of
from kernel.rpc import Context
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import governance_pb2 as rpc
from modelog.registry.v1.types_pb2 import Project, Verdict, Version
from modelog.type.v1.read_pb2 import ReadOptions
from services.registry import queries
from services.registry.domain import PROJECT, VERSION
from services.registry.domain.access import Access
from services.registry.domain.policy import check_policy, check_roles
from services.registry.domain.replay import moment_of, replay, ruled_by, verdict_of
from services.registry.servicer.room import Room


class _Then(NamedTuple):
    """What a move was decided on."""

    revision: int
    version: Version
    project: Project
    everywhere: Project


class Verdicts(Room):
    async def ReplayVerdict(self, request: rpc.ReplayVerdictRequest, context: Context) -> rpc.ReplayVerdictResponse:
        version = await self._resources.load(VERSION, request.name, request.read)
        if not version.name:
            raise NotFound(VERSION.not_found_reason, f"there is no {request.name}", metadata={"resource": request.name})
        verdict = verdict_of(version, request.to_stage)
        if verdict is None:
            moved = ", ".join(one.to_stage for one in version.verdicts) or "it has never moved"
            raise NotFound("VERDICT_NOT_FOUND", f"{request.name} was never moved to {request.to_stage!r}: {moved}")
        then = await self._then(version.name, verdict)
        project, policy_revision = await self._ruled(request, then.project)
        reply = replay(verdict, then.version, Access(project, then.everywhere, moment_of(verdict)))
        reply.revision, reply.policy_revision = then.revision, policy_revision
        return reply

    async def _then(self, name: str, verdict: Verdict) -> _Then:
        """The states that the move's fact says it was decided on: the version before it, and those it read."""
        revision = await queries.revision_of(self._pool, name, verdict.version_generation)
        entry = await self._log.next("lifecycle.>", revision - 1)
        read = {one.resource: one.revision for one in Fact.FromString(entry.payload).reads} if entry else {}
        return _Then(
            revision,
            await self._resources.load(VERSION, name, ReadOptions(as_of_revision=revision - 1)),
            await self._project(project_of(name), verdict.policy_revision),
            await self._project(EVERYWHERE, read.get(EVERYWHERE, 0)),
        )

    async def _project(self, name: str, revision: int) -> Project:
        """As of a revision; empty where nothing was known of it."""
        if not revision:
            return Project()
        project: Project = await self._resources.load(PROJECT, name, ReadOptions(as_of_revision=revision))
        return project

    async def _ruled(self, request: rpc.ReplayVerdictRequest, project: Project) -> tuple[Project, int]:
        """The project as of the move, under the policy that is asked for, and the revision that one has."""
        if request.HasField("policy"):
            check_policy(request.policy, project.lifecycle)
            check_roles(request.policy, project.role_definitions)
            return ruled_by(project, project.lifecycle, request.policy), 0
        if not request.policy_revision:
            return project, project.revision
        other = await self._project(project.name, request.policy_revision)
        if not other.name:
            raise NotFound(
                PROJECT.not_found_reason, f"there was no {project.name} yet as of revision {request.policy_revision}"
            )
        return ruled_by(project, other.lifecycle, other.policy), other.revision
