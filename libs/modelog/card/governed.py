"""How a version came where it is: moves with their approvals, what is being reviewed, and what was found."""

from typing import Any

from modelog.pages.parts import Block, Section, Table, Text, Value
from modelog.pages.words import label, time, word
from modelog.registry.v1.cards_pb2 import ModelCard
from modelog.registry.v1.types_pb2 import (
    GATE_RESULT_PASSED,
    GateKind,
    GateOutcome,
    GateResult,
    ReviewDecision,
    ReviewKind,
    TransitionRequest,
    TransitionState,
    Verdict,
)

# Whatever a version keeps of what people or monitors found is shown, under the name of its field.
_FOUND = ("findings", "incidents", "checklist", "provenance")
# Internal to how approvals are bound.
_UNSHOWN = frozenset(("content_revision", "people", "makers"))


def governance(card: ModelCard) -> Section:
    version = card.version
    moves = [section for verdict in version.verdicts if (section := _move(verdict))]
    blocks: list[Block] = []
    if version.verdicts:
        head = ["from", "to", "when", "moved by", "approved by", "request", "policy of revision"]
        blocks.append(Table(head, [_verdict(one) for one in version.verdicts], "Moves"))
    if version.HasField("transition"):
        moves.append(_request(version.transition))
    moves += [section for name in _FOUND if (section := found(version, name))]
    return Section("Governance", blocks, moves)


def _verdict(one: Verdict) -> list[Value]:
    return [
        one.from_stage,
        one.to_stage,
        time(one.decide_time),
        one.decided_by,
        ", ".join(one.approvers) or "nobody had to",
        str(one.transition or ""),
        str(one.policy_revision),
    ]


def _move(one: Verdict) -> Section:
    return Section(f"Gates to {one.to_stage}", [_gates(one.gates)] if one.gates else [])


def _gates(gates: Any) -> Table:
    rows = [[one.name, _named(GateKind, one.kind, "GATE_KIND_"), _result(one), one.condition] for one in gates]
    return Table(["gate", "kind", "outcome", "condition"], rows, "Gates with their outcome", folded=True)


def _result(one: GateOutcome) -> str:
    outcome = _named(GateResult, one.result, "GATE_RESULT_")
    return outcome if one.result == GATE_RESULT_PASSED or not one.reason else f"{outcome}: {one.reason}"


def _request(one: TransitionRequest) -> Section:
    state = _named(TransitionState, one.state, "TRANSITION_STATE_")
    void = f": {one.void_reason}" if one.void_reason else ""
    asked = f"Request {one.number} from {one.from_stage} to {one.to_stage} by {one.requested_by}"
    blocks: list[Block] = [Text(f"{asked}, {time(one.request_time)}: {state}{void}.")]
    if one.reviews:
        rows: list[list[Value]] = [
            [
                time(review.review_time),
                review.reviewer,
                _named(ReviewKind, review.kind, "REVIEW_KIND_"),
                _named(ReviewDecision, review.decision, "REVIEW_DECISION_"),
                review.comment,
            ]
            for review in one.reviews
        ]
        blocks.append(Table(["when", "reviewer", "kind", "decision", "comment"], rows))
    return Section("Newest request to move", blocks)


def _named(enum: Any, number: int, prefix: str) -> str:
    """Numbers of a later release stay numbers."""
    return word(enum.Name(number), prefix) if number in enum.values() else str(number)


def found(version: Any, name: str) -> Section:
    """The entries of a field as a table; a map's keys come first, and columns that say nothing are left out."""
    field = version.DESCRIPTOR.fields_by_name.get(name)
    if field is None or field.message_type is None or not getattr(version, name):
        return Section(name, [])
    values = getattr(version, name)
    keyed = field.message_type.GetOptions().map_entry
    named = [(key, values[key]) for key in sorted(values)] if keyed else [("", one) for one in values]
    fields = [one for one in named[0][1].DESCRIPTOR.fields if one.name not in _UNSHOWN]
    columns = [[_cell(entry, one) for _, entry in named] for one in fields]
    head = [label(one.name) for one in fields]
    if keyed:
        head, columns = ["", *head], [[key for key, _ in named], *columns]
    told = [place for place, column in enumerate(columns) if any(column)]
    rows = [[columns[place][row] for place in told] for row in range(len(named))]
    return Section(name.capitalize(), [Table([head[place] for place in told], rows)])


def said(message: Any) -> str:
    """A small message in a line: its values that are set, without their names."""
    shown = [one for one in message.DESCRIPTOR.fields if one.name not in _UNSHOWN]
    return ", ".join(text for one in shown if (text := _cell(message, one)))


def _cell(entry: Any, field: Any) -> str:
    value = getattr(entry, field.name)
    if field.message_type is not None:
        if field.is_repeated:
            return ""
        return time(value) if field.message_type.full_name == "google.protobuf.Timestamp" else said(value)
    if field.is_repeated:
        return ", ".join(map(str, value))
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        prefix = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
        return word(known.name, prefix) if known and value else ""
    return ("yes" if value else "") if isinstance(value, bool) else str(value or "")
