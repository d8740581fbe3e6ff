"""What rules may ask for and what they say of a window: conditions over the results of its checks."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from kernel.errors import invalid_field
from kernel.expressions import BUDGET_STEPS, Result, evaluate, fault
from kernel.names import check_id
from modelog.monitoring.v1 import alert_events_pb2 as facts
from modelog.monitoring.v1 import types_pb2 as types

Standing = Mapping[str, types.CheckStatus]

NAMES = frozenset(
    "check method column segment version value threshold passed failed rows p_value failed_windows passed_windows"
    " previous checks".split()
)
CONCLUSIVE = (types.OUTCOME_OK, types.OUTCOME_FAILED)
_MOST_STEPS = 100_000  # Of one answer: a rule may be asked about every column of every check.
_MOST_BYTES = 8 * 1024  # Of all rules: a fact that opens alerts repeats theirs, and each writes the monitor again.
_CHECKS = re.compile(r"\bchecks\b")
_CHECK = re.compile(r"""\bchecks\[["']([a-z0-9-]+)["']\]""")
_UNANSWERED = ("", "does not hold")


def complete_rules(rules: Iterable[types.AlertRule], checks: Sequence[types.Check]) -> list[types.AlertRule]:
    """The rules with every default written out; Invalid naming the field and what to write instead.

    `checks` are complete. Each condition is tried on a result that fails and on one that passes.
    """
    complete = [_complete(rule, f"rules[{index}]") for index, rule in enumerate(rules)]
    ids = [rule.id for rule in complete]
    for index, rule in enumerate(complete):
        if rule.id in ids[:index]:
            raise invalid_field(f"rules[{index}].id", f"{rule.id!r} is the id of two rules", "DUPLICATE_ID")
        known = {check.id for check in checks}
        if unknown := sorted(set(rule.checks) - known):
            reason = f"there is no check {unknown[0]!r}; take some of {', '.join(sorted(known))}"
            raise invalid_field(f"rules[{index}].checks", reason, "NO_CHECK")
        for name in ("when", "clear_when"):
            _try(getattr(rule, name), rule, checks, f"rules[{index}].{name}")
    if sum(rule.ByteSize() for rule in complete) > _MOST_BYTES:
        raise invalid_field("rules", f"more than {_MOST_BYTES} bytes; shorten the conditions", "TOO_LARGE")
    return complete


def _complete(rule: types.AlertRule, field: str) -> types.AlertRule:
    check_id(rule.id, f"{field}.id")
    if not rule.when:
        raise invalid_field(f"{field}.when", "say what has to hold, for example `failed`", "NO_CONDITION")
    if rule.escalate_to and not rule.escalate_after_seconds:
        raise invalid_field(
            f"{field}.escalate_after_seconds", "say after how long, or leave escalate_to out", "NO_TIME"
        )
    complete = types.AlertRule()
    complete.CopyFrom(rule)
    complete.for_windows = complete.for_windows or 1
    complete.clear_windows = complete.clear_windows or 1
    return complete


def _try(condition: str, rule: types.AlertRule, checks: Sequence[types.Check], field: str) -> None:
    if not condition:
        return
    wrong = fault(condition, NAMES)
    for outcome in CONCLUSIVE:
        results = [types.CheckResult(check=one, outcome=outcome, statistic=1.0, rows=1000) for one in checks]
        standing = {
            one.id: types.CheckStatus(failed_windows=1, passed_windows=1, last_outcome=outcome, last_window=1)
            for one in checks
        }
        known = _known(checks, standing)
        for result in results:
            if wrong is None and (not rule.checks or result.check.id in rule.checks):
                values = _values(result, None, types.Window(), standing[result.check.id], types.CheckStatus(), known)
                wrong = _fault(_ask(condition, values, _MOST_STEPS))
    if wrong is not None:
        names = ", ".join(sorted(NAMES))
        reason = f"{wrong}. Write a condition that is true or false, such as `failed && rows > 1000`, over {names}"
        if "checks" in condition:
            reason += f"; checks has {', '.join(check.id for check in checks)}: checks['{checks[0].id}'].failed"
        raise invalid_field(field, reason, "CONDITION_WRONG")


def _ask(condition: str, values: Mapping[str, Any], budget_steps: int) -> Result:
    """Handing all checks over costs more than answering, so only those are that it names, where it names each."""
    named = _named(condition)
    if named is not None:
        checks = values["checks"]
        values = {**values, "checks": {one: checks[one] for one in named if one in checks}}
    return evaluate(condition, values, budget_steps)


@lru_cache(maxsize=1024)
def _named(condition: str) -> frozenset[str] | None:
    """The checks that a condition names; None when it looks at them in another way."""
    named = _CHECK.findall(condition)
    return frozenset(named) if len(named) == len(_CHECKS.findall(condition)) else None


def _fault(result: Result) -> str | None:
    return None if result.reason in _UNANSWERED else result.reason


def judge(
    monitor: types.Monitor,
    window: types.Window,
    results: Sequence[types.CheckResult],
    before: Standing,
    after: Standing,
) -> Iterator[facts.Judgement]:
    """What each rule of a monitor says of each result that is OK or FAILED. before, after: where checks stand without
    and with this window; what is not in `after` came too late and is not judged."""
    known = _known(monitor.checks, {**before, **after})
    left = BUDGET_STEPS
    for rule in monitor.rules:
        for result in results:
            check = result.check.id
            if check not in after or (rule.checks and check not in rule.checks):
                continue
            for column in parts_of(rule, result):
                if (result if column is None else column).outcome not in CONCLUSIVE:
                    continue
                previous = before.get(check, types.CheckStatus())
                values = _values(result, column, window, after[check], previous, known)
                judgement, steps = _judge(rule, values, left)
                judgement.check, judgement.column = check, "" if column is None else column.column
                left -= steps
                yield judgement


def parts_of(rule: types.AlertRule, result: types.CheckResult) -> Sequence[types.ColumnResult | None]:
    """What a rule is asked about: each column of a check where it groups by them; else None, for it as a whole."""
    return list(result.columns) if types.GROUPING_COLUMN in rule.group_by and result.columns else [None]


def _judge(rule: types.AlertRule, values: Mapping[str, Any], left: int) -> tuple[facts.Judgement, int]:
    held = _ask(rule.when, values, min(left, _MOST_STEPS))
    judgement = facts.Judgement(rule=rule.id, holds=held.passed, statistic=values["value"])
    judgement.fault = _fault(held) or ""
    if not rule.clear_when or held.passed:
        # What could not be answered ends no alert.
        judgement.clear = not held.passed and not judgement.fault
        return judgement, held.steps
    cleared = _ask(rule.clear_when, values, min(left - held.steps, _MOST_STEPS))
    judgement.fault = judgement.fault or _fault(cleared) or ""
    judgement.clear = cleared.passed and not judgement.fault
    return judgement, held.steps + cleared.steps


def _values(
    result: types.CheckResult,
    column: types.ColumnResult | None,
    window: types.Window,
    status: types.CheckStatus,
    previous: types.CheckStatus,
    checks: Mapping[str, Any],
) -> dict[str, Any]:
    """By name what a condition may look at."""
    part: types.CheckResult | types.ColumnResult = result if column is None else column
    has_p_value = column is not None and column.HasField("p_value")
    return {
        "check": result.check.id,
        "method": types.Method.Name(result.check.method).removeprefix("METHOD_"),
        "column": part.column,
        "segment": window.segment,
        "version": window.version,
        "value": part.statistic,
        "threshold": result.check.threshold,
        "passed": part.outcome == types.OUTCOME_OK,
        "failed": part.outcome == types.OUTCOME_FAILED,
        "rows": part.rows,
        "p_value": column.p_value if column is not None and has_p_value else 1.0,
        "failed_windows": status.failed_windows,
        "passed_windows": status.passed_windows,
        "previous": {
            "known": bool(previous.last_window),
            "value": previous.last_statistic,
            "passed": previous.last_outcome == types.OUTCOME_OK,
            "failed": previous.last_outcome == types.OUTCOME_FAILED,
        },
        "checks": checks,
    }


def _known(checks: Iterable[types.Check], standing: Standing) -> dict[str, Any]:
    """The newest that is known of each check, also of those that look at windows which close at other times."""
    known = {}
    for check in checks:
        status = standing.get(check.id, types.CheckStatus())
        known[check.id] = {
            "known": bool(status.last_window),
            "value": status.last_statistic,
            "passed": status.last_outcome == types.OUTCOME_OK,
            "failed": status.last_outcome == types.OUTCOME_FAILED,
            "failed_windows": status.failed_windows,
            "passed_windows": status.passed_windows,
        }
    return known
