"""How one version takes over from another, as people type it: `--canary 5@10m,50@1h:pause`, `--rolling surge=1`."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import click

from modelog.cli.analyses import OPTIONS as ANALYSIS
from modelog.cli.analyses import asks_something, fill_analysis
from modelog.cli.values import ParamType, Span

_STEP = re.compile(r"(?P<percent>\d{1,3})%?(@(?P<time>[^:]+))?(?P<pause>:pause)?")
_AMOUNT = re.compile(r"(?P<name>surge|unavailable)=(?P<number>\d{1,4})(?P<percent>%?)")
KINDS = ("recreate", "rolling", "canary", "blue_green", "shadow")
_WAYS = "--recreate, --rolling, --canary 10,50,100, --blue-green or --shadow 20"
_SPAN = Span()

Step = tuple[int, timedelta | None, bool]


class Steps(ParamType):
    """`5,25,50`, each with its time and a wait for a person where they are given: `5@10m,50@1h:pause`."""

    name = "steps"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[Step]:
        if isinstance(value, list):
            return value
        return [self._step(part, param, ctx) for part in value.split(",")]

    def _step(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> Step:
        found = _STEP.fullmatch(text.strip())
        if found is None:
            self.fail(f"{text!r} is no step like 5, 5@10m or 50@1h:pause", param, ctx)
        seconds = _SPAN.convert(found["time"], param, ctx) if found["time"] else None
        return int(found["percent"]), seconds, bool(found["pause"])


class Leeway(ParamType):
    """`surge=1,unavailable=25%`; what is not named is left to the service."""

    name = "leeway"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, tuple[int, bool]]:
        if isinstance(value, dict):
            return value
        amounts = {}
        for part in filter(None, value.split(",")):
            found = _AMOUNT.fullmatch(part.strip())
            if found is None or found["name"] in amounts:
                self.fail(f"{value!r} is not like surge=1,unavailable=25%", param, ctx)
            amounts[found["name"]] = (int(found["number"]), bool(found["percent"]))
        return amounts


def options() -> Iterator[click.Parameter]:
    """The options that describe a strategy; `fill` reads what they hold."""
    yield click.Option(["--recreate"], is_flag=True, help="Stop the old version, start the new one.")
    yield click.Option(["--rolling"], type=Leeway(), help="Replace replicas gradually: surge=1,unavailable=25%.")
    yield click.Option(["--canary"], type=Steps(), help="Growing shares: 10,50,100 or 5@10m,50@1h:pause.")
    yield click.Option(["--blue-green"], is_flag=True, help="Start beside the old one, then move all traffic.")
    yield click.Option(["--shadow"], type=int, help="Copy so many percent of requests and compare the answers.")
    yield click.Option(["--step"], type=Span(), help="How long each step, or the soak, is watched.")
    yield click.Option(["--soak"], type=Span(), help="How long --blue-green keeps the old replicas ready.")
    yield click.Option(["--for", "for_"], type=Span(), help="How long --shadow copies requests.")
    yield click.Option(["--then-canary"], type=Steps(), help="What follows --shadow; nothing without it.")
    yield click.Option(["--max-disagreement"], type=float, help="Of a shadow's answers, 0 to 1; no limit without it.")
    yield click.Option(["--min-compared"], type=int, help="With fewer compared answers a shadow is inconclusive.")
    yield click.Option(["--tolerance"], type=float, help="How far numbers of a shadow may be off; 1e-6.")
    yield click.Option(["--gate"], is_flag=True, help="Wait for `resume` before --blue-green moves any traffic.")
    yield click.Option(["--pause"], is_flag=True, help="Wait for `resume` after each step.")
    yield from ANALYSIS
    yield click.Option(["--ready"], type=Span(), help="How long replicas may take to become ready.")
    yield click.Option(["--progress"], type=Span(), help="Go back when nothing has moved on for so long.")
    yield click.Option(["--max-restarts"], type=int, help="Go back when a replica has crashed so often in a row; 5.")


def fill(strategy: Any, values: dict[str, Any]) -> None:
    """Writes into `strategy` what the options say; UsageError unless they describe exactly one kind."""
    kinds = [kind for kind in KINDS if values[kind] is not None and values[kind] is not False]
    if len(kinds) + bool(strategy.WhichOneof("kind")) != 1:
        raise click.UsageError(f"say how it takes over: {_WAYS} or --strategy")
    for kind in kinds:
        _KINDS[kind](strategy, values)
    for name, field in (("ready", "ready_deadline"), ("progress", "progress_deadline")):
        if values[name]:
            getattr(strategy, field).FromTimedelta(values[name])
    if values["max_restarts"]:
        strategy.max_restarts = values["max_restarts"]


def _recreate(strategy: Any, _values: dict[str, Any]) -> None:
    strategy.recreate.SetInParent()


def _rolling(strategy: Any, values: dict[str, Any]) -> None:
    strategy.rolling.SetInParent()
    for name, (number, percent) in values["rolling"].items():
        setattr(getattr(strategy.rolling, f"max_{name}"), "percent" if percent else "count", number)
    if values["step"]:
        strategy.rolling.step.FromTimedelta(values["step"])
    _analysis(strategy.rolling.analysis, values)


def _canary(strategy: Any, values: dict[str, Any]) -> None:
    _steps(strategy.canary, values["canary"], values)
    _analysis(strategy.canary.analysis, values)


def _blue_green(strategy: Any, values: dict[str, Any]) -> None:
    strategy.blue_green.soak.FromTimedelta(values["soak"] or values["step"] or timedelta(0))
    strategy.blue_green.gate = values["gate"]
    _analysis(strategy.blue_green.analysis, values)


def _shadow(strategy: Any, values: dict[str, Any]) -> None:
    shadow = strategy.shadow
    if not values["for_"]:
        raise click.UsageError("say how long requests are copied: --shadow 20 --for 1h")
    shadow.percent = values["shadow"]
    shadow.duration.FromTimedelta(values["for_"])
    for name in ("max_disagreement", "min_compared", "tolerance"):
        if values[name] is not None:
            setattr(shadow, name, values[name])
    _analysis(shadow.analysis, values)
    if values["then_canary"]:
        _steps(shadow.then, values["then_canary"], values)
        _analysis(shadow.then.analysis, values)


def _steps(canary: Any, steps: list[Step], values: dict[str, Any]) -> None:
    for percent, length, pause in steps:
        step = canary.steps.add(percent=percent, pause=pause or values["pause"])
        step.duration.FromTimedelta(length or values["step"] or timedelta(0))


def _analysis(analysis: Any, values: dict[str, Any]) -> None:
    """Only where it was asked for: one without limits would send back at the first failed request."""
    if asks_something(values):
        fill_analysis(analysis, values)


_KINDS = {
    "recreate": _recreate,
    "rolling": _rolling,
    "canary": _canary,
    "blue_green": _blue_green,
    "shadow": _shadow,
}
