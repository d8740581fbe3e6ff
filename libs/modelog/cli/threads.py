"""What people say to each other about models."""

from typing import Any

import click

from modelog.cli import render
from modelog.cli.names import Name
from modelog.cli.state import Noun, State, state_of
from modelog.cli.text import clean
from modelog.cli.values import ParamType
from modelog.cli.verbs import arg, opt, verb

_VERSION_IDS = 3
_TITLE_CHARACTERS = 60


class _About(ParamType):
    """A model or a version, as `risk/fraud` or `risk/fraud/3`."""

    name = "model"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        kind = "version" if len(text.split("/")) == _VERSION_IDS and not text.startswith("projects/") else "model"
        return Name(kind).convert(text, param, ctx)


def _about(*, required: bool = True) -> click.Argument:
    return click.Argument(["about"], type=_About(), required=required, metavar="MODEL|VERSION")


def _place(_state: State, request: Any, values: dict[str, Any]) -> None:
    """The model of a new thread, and a title where none was given: the first line of what is said."""
    request.target.name = values["about"]
    request.parent = values["about"].partition("/versions/")[0]
    request.title = request.title or _first_line(request.body)


def _first_line(body: str) -> str:
    line = body.strip().splitlines()[0].lstrip("# ") if body.strip() else ""
    return line if len(line) <= _TITLE_CHARACTERS else line[: _TITLE_CHARACTERS - 1] + "…"


_PARTS = (
    opt("target.transition", "Number of the version's request to move that it is about."),
    opt("target.review.reviewer", "Whose review of the newest request it is about.", flag="--reviewer"),
    opt("target.review.kind", "What that review looked at.", flag="--review-kind"),
    opt("target.finding", "The finding that it is about."),
    opt("target.field", "The field that it is about, documentation.limitations."),
)


def _filter(_state: State, request: Any, values: dict[str, Any]) -> None:
    about = values["about"] or ""
    request.parent = about.partition("/versions/")[0]
    if "/versions/" in about:
        request.target = about
    if values["state"]:
        request.state = 1 if values["state"] == "open" else 2


comment = verb(
    "comment",
    "collaboration.OpenThread",
    "Say something about a model or a version, in a new thread. @users/ben and @teams/risk speak to somebody.",
    arg("body"),
    opt("title", "In one line; the first line of the text when not given."),
    *_PARTS,
    extra=(_about(),),
    prepare=_place,
)
# What it is about comes before what is said.
comment.params.sort(key=lambda one: (not isinstance(one, click.Argument), one.name != "about"))

_open = verb(
    "open",
    "collaboration.OpenThread",
    "Open a thread about a model or a version.",
    opt("title", "In one line.", required=True),
    opt("body", "In Markdown.", required=True),
    *_PARTS,
    extra=(_about(),),
    prepare=_place,
)

threads = Noun(
    "threads",
    help="What people say about models; answering and resolving.",
    commands=[
        verb(
            "list",
            "collaboration.ListThreads",
            "The threads of a model, or about one of its versions.",
            opt("participant", "Only where this principal or team takes part."),
            extra=(
                _about(),
                click.Option(["--open", "state"], flag_value="open", help="Only open ones."),
                click.Option(["--resolved", "state"], flag_value="resolved", help="Only resolved ones."),
            ),
            prepare=_filter,
        ),
        _open,
        verb("reply", "collaboration.PostComment", "Say something in a thread.", arg("name", "thread"), arg("body")),
        verb(
            "edit",
            "collaboration.EditComment",
            "Say your own comment in other words.",
            arg("name", "thread"),
            arg("comment"),
            arg("body"),
        ),
        verb(
            "withdraw",
            "collaboration.WithdrawComment",
            "Take your own comment back; the log keeps it.",
            arg("name", "thread"),
            arg("comment"),
        ),
        verb("resolve", "collaboration.ResolveThread", "What it was about is settled.", arg("name", "thread")),
        verb("reopen", "collaboration.ReopenThread", "It is not settled after all.", arg("name", "thread")),
    ],
)


@threads.command("show", short_help="A thread with everything said in it.")
@click.argument("name", type=Name("thread"))
@click.option("--keep-unread", is_flag=True, help="Do not remember that you have read it.")
@click.pass_context
def _show(ctx: click.Context, name: str, keep_unread: bool) -> None:
    """A thread with everything said in it. It is read then, and gone from the inbox."""
    from modelog.registry.v1.collaboration_service_pb2 import GetThreadRequest, MarkReadRequest

    state = state_of(ctx)
    thread = state.call("collaboration.GetThread", GetThreadRequest(name=name))
    if state.as_json:
        render.print_json(render.plain(thread))
    else:
        _print_thread(thread)
    if not keep_unread and not state.at:
        state.call("collaboration.MarkRead", MarkReadRequest(name=name, upto_comment=len(thread.comments)))


def _print_thread(thread: Any) -> None:
    from rich.text import Text

    out = render.console()
    status = f"resolved by {thread.resolved_by}" if thread.resolved_by else "open"
    out.print(Text(clean(thread.title), style="bold"), Text(clean(f"  {status} · about {_told(thread.target)}")))
    for one in thread.comments:
        when = f"{one.post_time.ToDatetime():%Y-%m-%d %H:%M}"
        edited = "  (edited)" if one.HasField("edit_time") and not one.HasField("withdraw_time") else ""
        out.print()
        out.print(Text(clean(f"{one.number}  {one.author}  {when}{edited}"), style="cyan"))
        if one.HasField("withdraw_time"):
            out.print(Text("withdrawn", style="dim"))
        else:
            out.print(markdown(one.body) if out.is_terminal else Text(clean(one.body)))


def _told(target: Any) -> str:
    part = target.WhichOneof("part")
    if part is None:
        return str(target.name)
    value = target.review.reviewer if part == "review" else getattr(target, part)
    return f"{target.name}, {part} {value}"


def markdown(body: str) -> Any:
    """Markdown for a terminal: what others wrote steers nothing there, and links show where they lead."""
    from rich.markdown import Markdown

    return Markdown(clean(body), hyperlinks=False, code_theme="ansi_dark")
