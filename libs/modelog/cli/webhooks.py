"""Facts sent to addresses outside."""

from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import enum
from modelog.cli.failures import FAILED
from modelog.cli.state import Noun, State
from modelog.cli.text import clean
from modelog.cli.verbs import arg, opt, verb

_DELIVERED = 1
_SETTINGS = (
    opt("settings.title", "For people."),
    opt(
        "settings.subjects", "Only below this subject or resource: lifecycle.registry.risk.versions.>", flag="--subject"
    ),
    opt("settings.event_types", "Only this kind of fact, StageChanged.", flag="--type"),
)


def _secret(state: State, reply: Any) -> int | None:
    """The answer with the secret: nothing shows it again."""
    if not reply.secret or state.as_json:
        return render.reply(reply, as_json=state.as_json, dry=not reply.secret)
    click.echo(clean(f"{reply.name}: revision {reply.revision}"))
    click.echo(f"secret {reply.secret}")
    click.echo("Keep it where the receiver finds it: it is not shown again.", err=True)
    return None


def _tried(state: State, reply: Any) -> int | None:
    """How a trial came out; status 1 when the receiver did not take it."""
    one = reply.delivery
    if state.as_json:
        render.print_json(render.plain(one))
    else:
        told = enum(one.DESCRIPTOR.fields_by_name["outcome"], one.outcome).text
        click.echo(clean(f"{told} in {one.duration_ms} ms{': ' + one.error if one.error else ''}"))
    return None if one.outcome == _DELIVERED else FAILED


webhooks = Noun(
    "webhooks",
    help="Facts sent to addresses outside, signed by Standard Webhooks, each at least once and in order.",
    commands=[
        verb("list", "webhooks.ListWebhooks", "The webhooks of a project.", arg("parent", "project")),
        verb("show", "webhooks.GetWebhook", "One webhook.", arg("name", "webhook")),
        verb(
            "create",
            "webhooks.CreateWebhook",
            "Send the facts of a project to an address; prints the secret that verifies them.",
            arg("parent", "project"),
            arg("webhook_id"),
            arg("settings.url"),
            *_SETTINGS,
            opt("from_revision", "First revision to send; what happens from now on when not given.", flag="--from"),
            show=_secret,
        ),
        verb(
            "update",
            "webhooks.UpdateWebhook",
            "Change what is sent, or where to.",
            arg("name", "webhook"),
            opt("settings.url", "Where to."),
            *_SETTINGS,
        ),
        verb("pause", "webhooks.PauseWebhook", "Send nothing for a while; nothing is lost.", arg("name", "webhook")),
        verb("resume", "webhooks.ResumeWebhook", "Send again, from where it stopped.", arg("name", "webhook")),
        verb("remove", "webhooks.RemoveWebhook", "Send nothing any more, ever.", arg("name", "webhook")),
        verb(
            "rotate",
            "webhooks.RotateWebhookSecret",
            "Make a new secret; the former one is used as well for a day.",
            arg("name", "webhook"),
            opt("overlap", "How long the former secret is used as well, 3600s."),
            show=_secret,
        ),
        verb("test", "webhooks.TestWebhook", "Send a trial now.", arg("name", "webhook"), show=_tried),
        verb(
            "deliveries",
            "webhooks.ListDeliveries",
            "The last attempts to deliver, newest first.",
            arg("name", "webhook"),
            opt("outcome", "Only with this outcome."),
        ),
        verb(
            "redeliver",
            "webhooks.RedeliverRange",
            "Send the facts of a range once more.",
            arg("name", "webhook"),
            opt("from_revision", "First revision.", flag="--from", required=True),
            opt("to_revision", "Last revision.", flag="--to", required=True),
        ),
    ],
)
