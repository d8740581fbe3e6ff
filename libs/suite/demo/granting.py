"""Who may do what: two administrators grant the roles of a play, and neither of them can do it alone."""

from collections.abc import Awaitable

from access.fold import EVERYWHERE
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.sdk import Client, Denied, NotFound
from suite.demo.stage import ADA, EVA, MINA, OTTO, PAUL, PETRA, RUI, People, Stage

ROLES = (
    (ADA, "author"),
    (ADA, "validator"),
    (RUI, "validator"),
    (MINA, "approver"),
    (MINA, "archivist"),
)
ROLES_EVERYWHERE = ((EVA, "auditor"), (OTTO, "deployer"), (OTTO, "operator"))


async def open_house(client: Client, by: People) -> None:
    """Eva audits and Otto runs the whole installation, from before its first project."""
    request = rpc.CreateProjectRequest(project_id="all", title="All projects")
    try:
        await client.registry.GetProject(rpc.GetProjectRequest(name=EVERYWHERE), metadata=by(PETRA))
    except NotFound:
        await client.registry.CreateProject(request, metadata=by(PETRA))
    for person, role in ROLES_EVERYWHERE:
        await _grant(client, by, EVERYWHERE, person, role)


async def play(stage: Stage) -> None:
    project, registry = stage.names.project, stage.client.registry
    model = rpc.CreateModelRequest(parent=project, model_id="tumor")
    refused = await _refused(registry.CreateModel(model, metadata=stage.by(ADA)))
    stage.report.check("before she has a role Ada is refused", "NOT_GRANTED", refused)
    own = rpc.GrantRoleRequest(name=project, principal=PETRA, role="deployer")
    refused = await _refused(registry.GrantRole(own, metadata=stage.by(PETRA)))
    stage.report.check("an administrator grants no role to herself", "SELF_GRANT", refused)
    for person, role in ROLES:
        await _grant(stage.client, stage.by, project, person, role)
    alone = []
    for name in (project, EVERYWHERE):
        state = await stage.client.registry.GetProject(rpc.GetProjectRequest(name=name))
        granted = [one for one in state.roles if one.role in _PRODUCTION]
        alone += [f"{one.principal} {one.role}" for one in granted if not one.confirmed_by]
    stage.report.check("roles that lead into production and one administrator granted alone", [], alone)


_PRODUCTION = ("approver", "deployer")


async def _grant(client: Client, by: People, project: str, person: str, role: str) -> None:
    """Petra grants it; where one is not enough it is a proposal until Paul does the same."""
    request = rpc.GrantRoleRequest(name=project, principal=person, role=role)
    for administrator in (PETRA, PAUL):
        await client.registry.GrantRole(request, metadata=by(administrator))


async def _refused(call: Awaitable[object]) -> str:
    """The reason for which a call is denied; empty when it is not."""
    try:
        await call
    except Denied as refusal:
        return refusal.reason
    return ""
