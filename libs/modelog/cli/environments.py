"""What environments ask of rollouts: terms as people type them, checks, approvals, lifted freezes."""

import re
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell
from modelog.cli.environment_cells import DAYS
from modelog.cli.failures import CONFLICT
from modelog.cli.names import Name
from modelog.cli.state import State
from modelog.cli.values import Pair, ParamType, Span, Time
from modelog.cli.verbs import arg, opt, verb

_WEEKLY = re.compile(r"(\w{3}) (\d\d:\d\d)\.\.(\w{3}) (\d\d:\d\d) ([\w/+-]+)")
_FREEZE = "write ID=fri 17:00..mon 08:00 Europe/Berlin or ID=2026-12-20..2027-01-06, with why after a semicolon"
_SECRET = "write NAME=file:store, NAME=variable:STORE or NAME=kubernetes:secret/key"  # noqa: S105 - Where, not what.
_QUOTAS = {"endpoints": "most_endpoints", "replicas": "most_replicas"} | {
    "memory-mib": "most_memory_mib",
    "cpu-millis": "most_cpu_millis",
}


class _Freeze(ParamType):
    name = "freeze"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A Freeze of `weekends=fri 17:00..mon 08:00 Europe/Berlin; nobody is here`."""
        from modelog.deployment.v1.environments_pb2 import Freeze

        if not isinstance(value, str):
            return value
        id_, _, rest = value.partition("=")
        when, _, reason = (part.strip() for part in rest.partition(";"))
        freeze = Freeze(id=id_, reason=reason)
        if found := _WEEKLY.fullmatch(when):
            from_day, from_time, to_day, to_time, zone = found.groups()
            if not {from_day, to_day} <= set(DAYS):
                self.fail(f"days are {', '.join(DAYS)}; {_FREEZE}", param, ctx)
            weekly = freeze.weekly
            weekly.from_day, weekly.to_day = DAYS.index(from_day) + 1, DAYS.index(to_day) + 1  # type: ignore[assignment]
            weekly.from_time, weekly.to_time, weekly.time_zone = from_time, to_time, zone
        elif ".." in when:
            begin, _, end = when.partition("..")
            freeze.once.from_time.FromDatetime(Time().convert(begin, param, ctx))
            freeze.once.to_time.FromDatetime(Time().convert(end, param, ctx))
        else:
            self.fail(_FREEZE, param, ctx)
        return freeze


class _Secret(ParamType):
    name = "secret"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """(variable, SecretRef) of `STORE_KEY=file:store`. A value is not taken, so it gets into no shell's history."""
        from modelog.deployment.v1.environments_pb2 import KubernetesSecret, SecretRef

        if not isinstance(value, str):
            return value
        variable, _, source = value.partition("=")
        how, _, place = source.partition(":")
        secret, _, key = place.partition("/")
        if not (variable and place) or how not in ("file", "variable", "kubernetes"):
            self.fail(_SECRET, param, ctx)
        if how == "kubernetes":
            return variable, SecretRef(kubernetes_secret=KubernetesSecret(secret=secret, key=key))
        return variable, SecretRef(file=place) if how == "file" else SecretRef(environment_variable=place)


TERMS = (
    click.Option(
        ["--freeze"], type=_Freeze(), multiple=True, help="When no rollout starts: ID=fri 17:00..mon 08:00 ZONE."
    ),
    click.Option(
        ["--quota"], type=Pair(click.INT), multiple=True, help="Room: endpoints=5, replicas, memory-mib, cpu-millis."
    ),
    click.Option(["--promotes-from"], type=Name("environment"), help="Where a version must have succeeded before."),
    click.Option(["--served-for"], type=Span(), help="And served for so long."),
    click.Option(["--rollout-approvals"], type=int, help="People who approve each rollout before it starts."),
    click.Option(["--expire-after"], type=Span(), help="How long a rollout waits for them. [24h]"),
    click.Option(["--secret"], type=_Secret(), multiple=True, help="Variable of replicas: NAME=file:store."),
)


def terms(_state: State, request: Any, values: dict[str, Any]) -> None:
    """Fills the request from TERMS."""
    request.freezes.extend(values["freeze"])
    for name, most in values["quota"]:
        if name not in _QUOTAS:
            raise click.UsageError(f"there is no quota of {name!r}; write one of {', '.join(_QUOTAS)}")
        setattr(request.quota, _QUOTAS[name], most)
    if values["promotes_from"]:
        request.promotion.from_environment = values["promotes_from"]
    if values["served_for"]:
        if not values["promotes_from"]:
            raise click.UsageError("say where it has served: --promotes-from")
        request.promotion.served_for.FromTimedelta(values["served_for"])
    if values["rollout_approvals"]:
        request.rollout_approvals.needed = values["rollout_approvals"]
    if values["expire_after"]:
        request.rollout_approvals.expire_after.FromTimedelta(values["expire_after"])
    for variable, ref in values["secret"]:
        request.secrets[variable].CopyFrom(ref)


def _checked(state: State, reply: Any) -> int:
    """Every rule in a line; the exit status says whether the rollout would be accepted."""
    status = 0 if reply.allowed else CONFLICT
    if state.as_json:
        render.print_json(render.plain(reply))
        return status
    yes, no = Cell("yes", "green"), Cell("NO", "red")
    render.table(
        ("rule", "passed", "why"),
        [(one.rule, yes if one.passed else no, one.explanation) for one in reply.findings],
    )
    if reply.approvals_needed:
        render.line(Cell(f"it then waits for {reply.approvals_needed} approvals", "yellow"))
    return status


CHECKING = (
    verb(
        "check",
        "deployment.CheckRollout",
        "Whether a version may be rolled out now, rule by rule; exit status 4 when not.",
        arg("name", "environment"),
        arg("version", "version"),
        opt("endpoint", "The endpoint it is meant for: then its room is judged too.", kind="endpoint"),
        show=_checked,
    ),
    verb(
        "lift-freeze",
        "deployment.LiftFreeze",
        "Break the glass: let rollouts start in spite of freezes for a while. Say --reason.",
        arg("name", "environment"),
        opt("endpoint", "Only for this endpoint.", kind="endpoint"),
        opt("duration", "For so long; an hour unless told.", flag="--for"),
    ),
)
APPROVING = (
    verb("approve", "deployment.ApproveRollout", "Approve a rollout that waits for it.", arg("name", "rollout")),
    verb("reject", "deployment.RejectRollout", "End a rollout that waits. Say --reason.", arg("name", "rollout")),
)
