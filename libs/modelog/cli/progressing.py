"""The picture of a rollout under way: steps, traffic, analysis and replicas."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from modelog.cli.cells import enum, tail
from modelog.cli.text import clean
from modelog.deployment.v1.people_pb2 import EndpointStatus, WatchRolloutResponse
from modelog.deployment.v1.types_pb2 import Rollout

_BAR = 24
_MOST_RESULTS = 6


class Seen:
    """Everything that a watcher has been told so far."""

    def __init__(self) -> None:
        self.rollout = Rollout()
        self.shares = WatchRolloutResponse()
        self.status = EndpointStatus()
        self.results: list[tuple[int, Any]] = []

    def take(self, reply: Any) -> None:
        """Adds a reply of WatchRollout."""
        self.shares = WatchRolloutResponse(traffic=reply.traffic)
        if reply.HasField("status"):
            self.status = reply.status
        if not reply.HasField("rollout"):
            return
        before, self.rollout = self.rollout, reply.rollout
        if reply.rollout.HasField("last_result") and reply.rollout.last_result != before.last_result:
            self.results.append((reply.rollout.step, reply.rollout.last_result))


def steps_of(strategy: Any) -> Sequence[tuple[str, float, bool]]:
    """(share, seconds, waits for a person) of each step before the version has everything; a rolling rollout, whose
    batches follow from the replicas there are, is one."""
    match strategy.WhichOneof("kind"):
        case "canary":
            return _canary(strategy.canary)
        case "blue_green":
            gate = [("0 %", 0.0, True)] if strategy.blue_green.gate else []
            return [*gate, ("100 %", strategy.blue_green.soak.ToTimedelta().total_seconds(), False)]
        case "rolling":
            return [("by replicas", strategy.rolling.step.ToTimedelta().total_seconds(), False)]
        case "shadow":
            shadow = strategy.shadow
            mirror = (f"copies of {shadow.percent} %", shadow.duration.ToTimedelta().total_seconds(), False)
            return [mirror, *_canary(shadow.then)]
    return [("100 %", 0.0, False)]


def _canary(canary: Any) -> list[tuple[str, float, bool]]:
    return [(f"{one.percent} %", one.duration.ToTimedelta().total_seconds(), one.pause) for one in canary.steps]


def picture(seen: Seen, now: datetime | None = None) -> RenderableType:
    """What a person wants to see at a glance; drawn from what was told, so it can be drawn at any moment."""
    now = now or datetime.now(UTC)
    parts: list[RenderableType] = [_title(seen.rollout), _steps(seen, now), Text(""), _traffic(seen)]
    if seen.results:
        parts += [Text(""), _analysis(seen)]
    if seen.status.versions:
        parts += [Text(""), replicas(seen.status)]
    if seen.status.problem:
        parts.append(Text(clean(f"not everything could be observed: {seen.status.problem}"), style="yellow"))
    if (waits := _waits(seen.rollout)) is not None:
        parts += [Text(""), waits]
    return Group(*parts)


def _title(rollout: Any) -> Text:
    state = enum(rollout.DESCRIPTOR.fields_by_name["state"], rollout.state)
    title = Text(clean(f"{tail(rollout.version)} → {tail(rollout.name.rpartition('/rollouts/')[0])}  "), style="bold")
    title.append(state.text, style=state.style)
    if rollout.requested_by:
        approved = f", approved by {', '.join(rollout.approved_by)}" if rollout.approved_by else ""
        title.append(clean(f"  asked for by {rollout.requested_by}{approved}"), style="dim")
    if rollout.cause:
        title.append(clean(f"\n{rollout.cause}"), style=state.style)
    return title


def _steps(seen: Seen, now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("STEP", "SHARE", "WATCHED FOR", "", "VERDICT"):
        table.add_column(heading, justify="right" if heading in ("STEP", "SHARE") else "left")
    rollout = seen.rollout
    for number, (share, seconds, pause) in enumerate(steps_of(rollout.strategy), 1):
        done = _done(rollout, number, seconds, now)
        style = "green" if done >= 1 else "yellow" if done > 0 or number == rollout.step else "dim"
        bar = ProgressBar(total=1.0, completed=done, width=_BAR, complete_style=style, finished_style="green")
        length = f"{seconds:g} s" if seconds else "at once"
        if pause:
            length += ", then a person"
        verdict = _verdict([result for step, result in seen.results if step == number])
        table.add_row(str(number), share, length, bar, verdict, style="" if style != "dim" else "dim")
    return table


def _done(rollout: Any, number: int, seconds: float, now: datetime) -> float:
    """How much of a step has passed, 0 to 1."""
    if number <= rollout.steps_passed:
        return 1.0
    if number != rollout.step or not rollout.HasField("window_start_time") or not seconds:
        return 0.0
    elapsed: float = (now - rollout.window_start_time.ToDatetime(tzinfo=UTC)).total_seconds()
    return min(max(elapsed / seconds, 0.0), 0.99)


def _verdict(results: Sequence[Any]) -> Text:
    if not results:
        return Text("")
    verdict = enum(results[-1].DESCRIPTOR.fields_by_name["verdict"], results[-1].verdict)
    more = f" after {len(results)} windows" if len(results) > 1 else ""
    return Text(verdict.text + more, style=verdict.style)


def _traffic(seen: Seen) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("TRAFFIC", "", ""):
        table.add_column(heading)
    for share in seen.shares.traffic:
        style = "cyan" if share.version == seen.rollout.version else "blue"
        bar = ProgressBar(
            total=100, completed=share.percent, width=2 * _BAR, complete_style=style, finished_style=style
        )
        table.add_row(Text(clean(tail(share.version))), bar, f"{share.percent} %")
    if not seen.shares.traffic:
        table.add_row(Text("nobody serves", style="dim"), "", "")
    return table


def _analysis(seen: Seen) -> Table:
    """The newest windows, oldest first."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("ANALYSIS", "REQUESTS", "FAILED", "LATENCY", "VERDICT", "FINDING"):
        table.add_column(heading, justify="right" if heading in ("REQUESTS", "FAILED", "LATENCY") else "left")
    for step, result in seen.results[-_MOST_RESULTS:]:
        verdict = enum(result.DESCRIPTOR.fields_by_name["verdict"], result.verdict)
        latency = f"p{100 * result.latency_quantile:g} {result.latency_ms:.3g} ms" if result.latency_quantile else ""
        failed = f"{result.error_rate:.1%}" if result.requests else ""
        finding = Text(clean(result.finding), overflow="ellipsis", no_wrap=True)
        word = Text(verdict.text, style=verdict.style)
        table.add_row(f"step {step}", str(result.requests), failed, latency, word, finding)
    return table


def replicas(status: Any) -> Table:
    """Each version as it is observed: replicas, restarts, memory, and what the gateway counted."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("VERSION", "SHARE", "READY", "RESTARTS", "MEMORY", "REQ/S", "FAILED", "P50", "P99", "PROBLEM"):
        table.add_column(heading, justify="left" if heading in ("VERSION", "PROBLEM") else "right")
    for one in status.versions:
        ready = Text(f"{one.ready_replicas}/{len(one.replicas)}")
        ready.stylize("green" if one.replicas and one.ready_replicas == len(one.replicas) else "red")
        problems = [replica.problem for replica in one.replicas if replica.problem]
        memory = sum(replica.memory_bytes for replica in one.replicas)
        failed = f"{one.errors / one.requests:.1%}" if one.requests else ""
        table.add_row(
            Text(clean(tail(one.version))),
            f"{one.percent} %",
            ready,
            str(sum(replica.restarts for replica in one.replicas)),
            f"{memory / 1e6:,.0f} MB" if memory else "",
            f"{one.requests_per_second:,.1f}" if status.HasField("window") else "",
            Text(failed, style="red" if one.errors else ""),
            f"{one.p50_ms:.3g} ms" if one.requests else "",
            f"{one.p99_ms:.3g} ms" if one.requests else "",
            Text(clean(problems[0] if problems else ""), style="red", overflow="ellipsis", no_wrap=True),
        )
    return table


def _waits(rollout: Any) -> Text | None:
    """What a person is waited for, with what they can type."""
    if enum(rollout.DESCRIPTOR.fields_by_name["state"], rollout.state).text != "paused":
        return None
    endpoint = tail(rollout.name.rpartition("/rollouts/")[0])
    return Text(
        clean(
            f"it waits for a person; go on: modelog rollouts resume {tail(rollout.name)}; "
            f"go back: modelog rollouts rollback {endpoint}"
        ),
        style="yellow",
    )
