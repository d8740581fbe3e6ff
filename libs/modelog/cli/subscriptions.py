"""Places in the log kept for groups of consumers, and being one of them."""

import json
import shlex
import subprocess
from typing import Any

import click

from modelog.cli.failures import FAILED
from modelog.cli.names import Name
from modelog.cli.state import Command, Noun, State, state_of
from modelog.cli.text import clean
from modelog.cli.verbs import arg, opt, verb

_FILTER = "settings.filter."
_SETTINGS = (
    opt("settings.title", "What it is for."),
    opt(_FILTER + "event_types", "Only this kind of fact, StageChanged.", flag="--type"),
    opt(_FILTER + "services", "Only facts of this service.", flag="--service"),
    opt(_FILTER + "projects", "Only facts of this project, for one below all.", kind="project", flag="--project"),
    opt(_FILTER + "resource_prefixes", "Only facts of this resource and all below it.", flag="--below"),
    opt(_FILTER + "actors", "Only what this principal did.", flag="--actor"),
    opt(
        "settings.acknowledge_within",
        "How long a consumer may take for a batch, 90s; 60s when not given.",
        flag="--within",
    ),
    opt("settings.max_batches", "Batches that may be with consumers at once; 1 keeps the order.", flag="--batches"),
)
_WHERE = (
    opt("start.revision", "Begin with this revision; 1 is the first of all.", flag="--from"),
    opt("start.time", "Begin with the first fact recorded then or later.", flag="--since"),
)


@click.command(
    "consume",
    cls=Command,
    params=[
        click.Argument(["name"], type=Name("subscription")),
        click.Option(["--exec", "command"], help="Hand each batch to this command, as CloudEvents, one a line."),
        click.Option(["--consumer"], default="", help="How this consumer calls itself; host and process otherwise."),
        click.Option(
            ["--most"], type=click.IntRange(1, 5000), default=500, show_default=True, help="Facts in a batch."
        ),
        click.Option(["--follow", "-f"], is_flag=True, help="Go on with what happens from now, until Ctrl-C."),
    ],
)
@click.pass_context
def consume(ctx: click.Context, /, name: str, command: str | None, consumer: str, most: int, follow: bool) -> None:
    """Print what is handed out, and acknowledge it; with --exec when the command has ended well.

    A command that fails gives its batch back, and this ends with its status: the batch comes again, here or elsewhere.
    Without --exec facts are printed as `modelog replay` does; with --json as CloudEvents, one a line.
    """
    state = state_of(ctx)
    for batch in state.client().consume(name, consumer=consumer, most=most, follow=follow, with_texts=True):
        status = _run(command, batch) if command else _print(state, batch)
        if status:
            batch.extend(0)
            click.echo(clean(f"the command ended with {status}; its {len(batch.entries)} facts come again"), err=True)
            raise click.exceptions.Exit(FAILED)
        batch.acknowledge()


def _print(state: State, batch: Any) -> int:
    from modelog.cli.log import entry_of, line

    for entry in batch.entries:
        if state.as_json:
            print(_event(entry), flush=True)
        else:
            print(line(entry_of(entry)), flush=True)
    return 0


def _run(command: str, batch: Any) -> int:
    """The status of the command; without a shell, so pipes take `sh -c`."""
    events = "".join(_event(entry) + "\n" for entry in batch.entries)
    return subprocess.run(shlex.split(command), input=events.encode(), check=False).returncode


def _event(entry: Any) -> str:
    from modelog.cloudevents import cloud_event

    return json.dumps(cloud_event(entry.fact, entry.revision), ensure_ascii=False, separators=(",", ":"))


subscriptions = Noun(
    "subscriptions",
    help="Places in the log that the archive keeps for groups of consumers: each fact at least once, in order.",
    commands=[
        verb("list", "subscriptions.ListSubscriptions", "The subscriptions of a project.", arg("parent", "project")),
        verb("get", "subscriptions.GetSubscription", "One subscription.", arg("name", "subscription")),
        verb(
            "lag",
            "subscriptions.GetSubscriptionProgress",
            "How far its consumers have come, and which batches are with whom.",
            arg("name", "subscription"),
        ),
        verb(
            "create",
            "subscriptions.CreateSubscription",
            "Keep a place in the log, from now on unless told otherwise; of all projects with the project `all`.",
            arg("parent", "project"),
            arg("subscription_id"),
            *_WHERE,
            *_SETTINGS,
        ),
        verb(
            "update",
            "subscriptions.UpdateSubscription",
            "Replace what it hands out, and how.",
            arg("name", "subscription"),
            *_SETTINGS,
        ),
        verb("pause", "subscriptions.PauseSubscription", "Hand out nothing for a while.", arg("name", "subscription")),
        verb("resume", "subscriptions.ResumeSubscription", "Hand out again.", arg("name", "subscription")),
        verb(
            "rewind",
            "subscriptions.RewindSubscription",
            "Go on from elsewhere; from now when nothing is said.",
            arg("name", "subscription"),
            *_WHERE,
        ),
        verb("remove", "subscriptions.RemoveSubscription", "Forget the place for good.", arg("name", "subscription")),
    ],
)
subscriptions.add_command(consume)
