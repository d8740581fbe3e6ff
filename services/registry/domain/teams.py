"""Teams: people of a project who are spoken of by one name, and who own models together."""

from collections.abc import Iterable

from google.protobuf.message import Message

from kernel.errors import NotAllowedNow, NotFound
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import collaboration_events_pb2 as facts
from modelog.registry.v1.teams_pb2 import Team
from modelog.registry.v1.types_pb2 import Project
from services.registry.domain.mentions import TEAM

_MOST_TEAMS = 100


def define_team(project: Project, *, team: str, definition: Team) -> facts.TeamDefined | None:
    _present(project)
    if team in project.teams:
        if project.teams[team] == definition:
            return None
    elif len(project.teams) >= _MOST_TEAMS:
        raise NotAllowedNow("TOO_MANY_TEAMS", f"{project.name} has {_MOST_TEAMS} teams; remove one first")
    return facts.TeamDefined(team=team, definition=definition)


def remove_team(project: Project, *, team: str) -> facts.TeamRemoved:
    _present(project)
    if team not in project.teams:
        raise NotFound("TEAM_NOT_FOUND", f"{project.name} has no team {team!r}")
    return facts.TeamRemoved(team=team)


def _present(project: Project) -> None:
    if not project.name:
        raise NotFound("PROJECT_NOT_FOUND", "there is no such project; create it first")


def evolve_teams(project: Project, event: Message, _envelope: Fact) -> bool:
    """Folds the events of this module; False for any other."""
    match event:
        case facts.TeamDefined():
            project.teams[event.team].CopyFrom(event.definition)
        case facts.TeamRemoved():
            project.teams.pop(event.team, None)
        case _:
            return False
    return True


def known_as(principals: Iterable[str], *projects: Project) -> list[str]:
    """The principals, and the teams in any of the projects that one of them belongs to."""
    own = list(principals)
    belongs = [
        TEAM + name
        for project in projects
        for name, team in project.teams.items()
        if not set(own).isdisjoint(team.members)
    ]
    return list(dict.fromkeys([*own, *sorted(belongs)]))
