"""What waits for somebody, what happened to what they watch, and who belongs together."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import click

from modelog.cli import render
from modelog.cli.names import Name
from modelog.cli.state import Command, Noun, State, state_of
from modelog.cli.values import ParamType
from modelog.cli.verbs import arg, opt, verb

_ROWS = 100


def _projects(state: State, name: str | None) -> Iterator[str]:
    """The project that was named, or all that the caller may see."""
    if name:
        yield name
        return
    from modelog.registry.v1.registry_service_pb2 import ListProjectsRequest
    from modelog.sdk import pages

    request = ListProjectsRequest()
    yield from (one.name for one in pages(state.stub("registry.ListProjects", request), request))


def _everywhere(state: State, method: str, request: Any, project: str | None, most: int) -> Sequence[Any]:
    """The first items of one project, or of all of them."""
    from modelog.sdk import pages

    found = []
    for name in _projects(state, project):
        asking = type(request)()
        asking.CopyFrom(request)
        asking.parent = name
        found += list(itertools.islice(pages(state.stub(method, asking), asking), most or None))
    return found


_LIMIT = click.Option(["--limit"], type=click.IntRange(0), default=_ROWS, show_default=True, help="0 is all.")


@click.command("inbox", cls=Command, params=[click.Argument(["project"], type=Name("project"), required=False), _LIMIT])
@click.pass_context
def inbox(ctx: click.Context, /, project: str | None, limit: int) -> None:
    """What waits for you, in one project or in all: reviews, answers, threads, deprecated versions, proposals."""
    from modelog.registry.v1.collaboration_service_pb2 import ListTasksRequest

    state = state_of(ctx)
    tasks = _everywhere(state, "collaboration.ListTasks", ListTasksRequest(), project, limit)
    newest = sorted(tasks, key=lambda one: -one.time.ToMicroseconds())
    if newest or state.as_json:
        return render.items(newest, as_json=state.as_json)
    return render.console(stderr=True).print("nothing waits for you", style="dim")


@click.command(
    "activity", cls=Command, params=[click.Argument(["project"], type=Name("project"), required=False), _LIMIT]
)
@click.pass_context
def activity(ctx: click.Context, /, project: str | None, limit: int) -> None:
    """What happened to what you watch, newest first: your own models and versions, and see `modelog watch`."""
    from modelog.cli.log import TITLES, row
    from modelog.registry.v1.collaboration_service_pb2 import ListActivityRequest

    state = state_of(ctx)
    found = _everywhere(state, "collaboration.ListActivity", ListActivityRequest(), project, limit)
    newest = sorted(found, key=lambda one: -one.revision)[: limit or None]
    if state.as_json:
        return render.print_json([render.plain(one) for one in newest])
    return render.table(TITLES, [row(one) for one in newest])


class _Watched(ParamType):
    """A project, a model or a version: `risk`, `risk/fraud`, `risk/fraud/3`."""

    name = "project|model|version"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        kinds = ("project", "model", "version")
        ids = str(value).split("/")
        return Name(kinds[min(len(ids), len(kinds)) - 1]).convert(value, param, ctx)


_WATCHED = click.Argument(["watched"], type=_Watched(), metavar="PROJECT|MODEL|VERSION")


def _of(_state: State, request: Any, values: dict[str, Any]) -> None:
    request.name = values["watched"]


watch = Noun(
    "watch",
    help="What you want to hear of. Owners, makers, reviewers and who is spoken to hear by themselves.",
    commands=[
        verb("list", "collaboration.ListWatches", "What you watch in a project.", arg("parent", "project")),
        verb(
            "set",
            "collaboration.SetWatch",
            "Hear of a project, a model with its versions and threads, or a version.",
            opt("setting.event_types", "Only this kind of fact, StageChanged.", flag="--type"),
            opt("setting.muted", "Hear nothing of it.", flag="--mute"),
            extra=(_WATCHED,),
            prepare=_of,
        ),
        verb(
            "remove",
            "collaboration.RemoveWatch",
            "Take back what you said about it.",
            extra=(_WATCHED,),
            prepare=_of,
        ),
    ],
)

teams = Noun(
    "teams",
    help="People who are spoken of by one name: @teams/risk. `projects get` lists them.",
    commands=[
        verb(
            "define",
            "collaboration.DefineTeam",
            "Define a team, or replace who belongs to it.",
            arg("name", "project"),
            arg("team"),
            opt("definition.members", "Who belongs to it, users/ada.", flag="--member", required=True),
            opt("definition.title", "For people."),
        ),
        verb("remove", "collaboration.RemoveTeam", "Remove a team.", arg("name", "project"), arg("team")),
    ],
)
