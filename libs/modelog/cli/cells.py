"""Values of fields in a few words, as they stand in a cell."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from modelog.cli import environment_cells

_TIME = "%Y-%m-%d %H:%M:%SZ"
_GOOD = frozenset("ok passed succeeded active serving signing sealed approved committed answered resolved".split())
_BAD = frozenset(
    "failed firing rejected refused void rolled-back rollback-failed rolling-back alarm critical no-data"
    " abandoned".split()
)
_BETWEEN = frozenset(
    "pending progressing paused promoting open requested started inconclusive acknowledged warning sealing removing"
    " catching-up".split()
)


class Cell(NamedTuple):
    """A text and its colour."""

    text: str
    style: str = ""


def _traffic(share: Any) -> str:
    return f"{tail(share.version)} {share.percent} % ({share.ready_replicas} ready)"


def _gate(gate: Any) -> str:
    passed = gate.result == 1
    return f"{'passed' if passed else 'FAILED'}: {gate.name}{'' if passed else f': {gate.reason}'}"


def _column(column: Any) -> str:
    kind = column.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number[column.type].name
    shape = f" {list(column.shape)}" if column.shape else ""
    return f"{column.name}: {kind.removeprefix('DATA_TYPE_').lower()}{shape}"


def _limits(binding: Any) -> str:
    """What a role is limited to; one that was taken in an emergency is not passed over."""
    model = f" for {tail(binding.model)}" if binding.model else ""
    until = f" until {time(binding.expire_time)}" if binding.HasField("expire_time") else ""
    return f"{model}{until}{' (emergency)' if binding.emergency else ''}"


def _measured(metric: Any) -> str:
    interval = metric.interval
    held = f" [{number(interval.low)}, {number(interval.high)}]" if metric.HasField("interval") else ""
    return f"{metric.value:g} {metric.unit}".rstrip() + held


def number(value: float) -> str:
    """A measured number, as exact as people read it."""
    return f"{value:.4g}"


# Small messages that say all in a line, by full name.
_SHORT: Mapping[str, Callable[[Any], str]] = {
    "google.protobuf.Timestamp": lambda one: f"{one.ToDatetime():{_TIME}}",
    "google.protobuf.Duration": lambda one: one.ToJsonString(),
    "google.protobuf.FieldMask": lambda one: ", ".join(one.paths),
    "modelog.type.v1.Principal": lambda one: one.id,
    "modelog.type.v1.Quarantine": lambda one: f"revision {one.revision}: {one.reason}",
    "modelog.registry.v1.Alias": lambda one: one.version,
    "modelog.registry.v1.Column": _column,
    "modelog.registry.v1.GateOutcome": _gate,
    "modelog.registry.v1.Metric": lambda one: (
        f"{_measured(one)} ({'higher' if one.higher_is_better else 'lower'} is better)"
    ),
    "modelog.registry.v1.RoleBinding": lambda one: f"{one.principal} {one.role}{_limits(one)}",
    "modelog.deployment.v1.TrafficShare": _traffic,
    **environment_cells.SHORT,
    "modelog.archive.v1.TreeHead": lambda one: f"size {one.size}, root {one.root_hash.hex()}",
}


def cell(message: Any, path: str) -> Cell:
    """The value at a dotted path; empty when it is not set."""
    *outer, last = path.split(".")
    for name in outer:
        message = getattr(message, name)
    field = message.DESCRIPTOR.fields_by_name[last]
    value = getattr(message, last)
    if not is_set(message, field) and not (field.cpp_type in (1, 2, 5) and not field.has_presence):
        return Cell("")
    return summary(field, value) or Cell("…")


def summary(field: Any, value: Any, *, single: bool = False) -> Cell | None:
    """A field in a few words; None for a message that needs more. single: one of several values is meant."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry and not single:
        inner = field.message_type.fields_by_name["value"]
        parts = [(key, summary(inner, value[key])) for key in sorted(value)]
        return Cell(", ".join(f"{key}={part.text}" if part else str(key) for key, part in parts))
    if field.is_repeated and not single:
        told = [summary(field, one, single=True) for one in value]
        return Cell(", ".join(one.text for one in told if one)) if all(told) else Cell(str(len(told)))
    if field.message_type is not None:
        short = _SHORT.get(field.message_type.full_name)
        return Cell(short(value)) if short else None
    if field.enum_type is not None:
        return enum(field, value)
    if isinstance(value, bytes):
        return Cell(value.hex())
    if isinstance(value, bool):
        return Cell("yes" if value else "no")
    return Cell(f"{value:.6g}" if isinstance(value, float) else str(value))


def enum(field: Any, number: int) -> Cell:
    """The name without its prefix, in the colour of its meaning; numbers of the future stay numbers."""
    known = field.enum_type.values_by_number.get(number)
    if known is None:
        return Cell(str(number))
    prefix = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
    word = known.name.removeprefix(prefix).lower().replace("_", "-")
    style = "green" if word in _GOOD else "red" if word in _BAD else "yellow" if word in _BETWEEN else ""
    return Cell("" if number == 0 else word, style)


def is_set(message: Any, field: Any) -> bool:
    """Whether a field holds anything but its default."""
    if field.is_repeated:
        return len(getattr(message, field.name)) > 0
    if field.has_presence:
        present: bool = message.HasField(field.name)
        return present
    return bool(getattr(message, field.name) != field.default_value)


def time(value: Any) -> str:
    """UTC to the second."""
    return f"{value.ToDatetime():{_TIME}}"


def label(path: str) -> str:
    """A field's name as people write it."""
    return path.rpartition(".")[2].replace("_", " ")


def tail(name: str) -> str:
    """The short form of a name: its ids."""
    return "/".join(name.split("/")[1::2]) if name.startswith("projects/") else name
