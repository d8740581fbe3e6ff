"""Rollouts: changes of what an endpoint serves."""

from datetime import timedelta
from typing import Any

import click

from modelog.cli.environments import APPROVING
from modelog.cli.names import Name
from modelog.cli.state import Noun, State, state_of
from modelog.cli.values import ParamType, Span
from modelog.cli.verbs import arg, opt, verb
from modelog.cli.watch import watch


def _strategy(_state: State, request: Any, values: dict[str, Any]) -> None:
    """The strategy that the options describe; exactly one kind."""
    kinds = [kind for kind in ("recreate", "canary", "blue_green") if values[kind]]
    if len(kinds) + request.HasField("strategy") != 1:
        raise click.UsageError("say how it takes over: --recreate, --canary 10,50,100, --blue-green or --strategy")
    strategy = request.strategy
    if values["recreate"]:
        strategy.recreate.SetInParent()
    elif values["canary"]:
        for percent in values["canary"]:
            step = strategy.canary.steps.add(percent=percent, pause=values["pause"])
            step.duration.FromTimedelta(values["step"] or timedelta(0))
        _analysis(strategy.canary.analysis, values)
    elif values["blue_green"]:
        strategy.blue_green.soak.FromTimedelta(values["step"] or timedelta(0))
        _analysis(strategy.blue_green.analysis, values)
    if values["ready"]:
        strategy.ready_deadline.FromTimedelta(values["ready"])


def _analysis(analysis: Any, values: dict[str, Any]) -> None:
    for name in ("max_error_rate", "max_latency_ms", "min_requests", "rollback_on_alert"):
        if values[name] is not None:
            setattr(analysis, name, values[name])


class _Steps(ParamType):
    name = "percents"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        if isinstance(value, list):
            return value
        try:
            return [int(part) for part in value.split(",")]
        except ValueError:
            self.fail(f"{value!r} is no list of percents like 10,50,100", param, ctx)


_START = (
    click.Option(["--recreate"], is_flag=True, help="Stop the old version, start the new one."),
    click.Option(["--canary"], type=_Steps(), help="Growing shares of the traffic: 10,50,100."),
    click.Option(["--blue-green"], is_flag=True, help="Start beside the old one, then move all traffic."),
    click.Option(["--step"], type=Span(), help="How long each step, or the soak, is watched."),
    click.Option(["--pause"], is_flag=True, help="Wait for `resume` after each step."),
    click.Option(["--max-error-rate"], type=float, help="Failed requests / requests, 0 to 1."),
    click.Option(["--max-latency-ms"], type=float, help="Of the 99th percentile."),
    click.Option(["--min-requests"], type=int, help="With fewer a step is inconclusive."),
    click.Option(["--rollback-on-alert"], is_flag=True, help="An alert of monitoring rolls back."),
    click.Option(["--ready"], type=Span(), help="How long replicas may take to become ready."),
    click.Option(["--watch"], is_flag=True, help="Show its progress until it ends; exit status 1 when it goes back."),
)


def _started(state: State, reply: Any) -> int | None:
    from modelog.cli import render

    ctx = click.get_current_context()
    if not ctx.params["watch"] or ctx.params["validate_only"]:
        return render.reply(reply, as_json=state.as_json, dry=ctx.params["validate_only"])
    return watch(state, reply.name)


rollouts = Noun(
    "rollouts",
    help="Changes of what an endpoint serves.",
    commands=[
        verb(
            "list",
            "deployment.ListRollouts",
            "The rollouts of an endpoint; risk/- for all of a project.",
            arg("parent", "endpoint"),
        ),
        verb("get", "deployment.GetRollout", "One rollout.", arg("name", "rollout")),
        verb(
            "start",
            "deployment.RequestRollout",
            "Let a version take over an endpoint.",
            arg("parent", "endpoint"),
            arg("version", "version"),
            opt("strategy", "A whole Strategy as JSON."),
            extra=_START,
            prepare=_strategy,
            show=_started,
        ),
        verb("pause", "deployment.PauseRollout", "Hold a rollout at its present share.", arg("name", "rollout")),
        verb("resume", "deployment.ResumeRollout", "Let a paused rollout go on.", arg("name", "rollout")),
        *APPROVING,
        verb(
            "rollback",
            "deployment.RollBack",
            "Bring back what an endpoint served before.",
            arg("parent", "endpoint"),
        ),
    ],
)


@rollouts.command("watch", short_help="Show a rollout's progress until it ends.")
@click.argument("name", type=Name("rollout"))
@click.pass_context
def _watch(ctx: click.Context, name: str) -> int:
    """Show a rollout's progress until it ends; exit status 1 when it goes back or fails."""
    return watch(state_of(ctx), name)
