"""What differs between what is there and what a document wants."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelog.declare import Document, read_text
from modelog.declare.defaults import complete
from modelog.declare.difference import differences, wanted
from modelog.declare.kinds import KINDS, Kind, fields_of, resource_of
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1 import types_pb2 as deployment
from modelog.monitoring.v1 import types_pb2 as monitoring
from modelog.registry.v1 import types_pb2 as types
from services.deployment.domain.environment import define
from services.monitoring import series
from services.monitoring.domain.checking import complete_checks, complete_window
from services.monitoring.domain.rules import complete_rules
from services.monitoring.methods import METHODS
from tests.declare.arbitrary import messages

HEAD = "kind: Model\nname: risk/fraud\n"


def told(before: Any, after: Any, *fields: str) -> list[tuple[str, str | None, str | None]]:
    return [(one.path, one.before, one.after) for one in differences(before, after, fields)]


def document(text: str) -> Document:
    (one,) = read_text(text, "f.yaml")
    return one


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_there_are_differences_just_when_the_fields_differ(kind: Kind, data: st.DataObject) -> None:
    fields = tuple(fields_of(kind))
    some = messages(resource_of(kind).DESCRIPTOR, fields, depth=3)
    before = data.draw(some)
    after = before if data.draw(st.booleans()) else data.draw(some)
    found = differences(before, after, fields)
    assert bool(found) == (before != after)
    back = differences(after, before, fields)
    assert sorted((one.path, one.before or "") for one in found) == sorted((one.path, one.after or "") for one in back)
    assert len({one.path for one in found}) == len(found)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_what_a_document_wants_is_there_once_it_was_written(kind: Kind, data: st.DataObject) -> None:
    """Wanting twice is wanting once, and what a document does not speak of stays as it is."""
    fields = tuple(fields_of(kind))
    spoken = tuple(name for name in fields if data.draw(st.booleans()))
    present = data.draw(messages(resource_of(kind).DESCRIPTOR, fields, depth=3))
    said = data.draw(messages(resource_of(kind).DESCRIPTOR, spoken or ("name",), depth=3))
    lines: dict[Any, int] = {(field.name,): 1 for field, _ in said.ListFields() if field.name in spoken}
    for name in kind.partly & {place[0] for place in lines}:
        part = getattr(said, name)
        inside = part if hasattr(part, "keys") else [one.name for one, _ in part.ListFields()]
        lines |= {(name, key): 1 for key in inside}
    one = Document(kind, "n", said, "f.yaml", 1, lines)
    goal = wanted(one, present)
    assert wanted(one, goal) == goal
    silent = [name for name in fields if (name,) not in lines]
    settled = complete(kind.word, type(present).FromString(present.SerializeToString()), present)
    assert not differences(settled, goal, silent)


def test_values_are_told_by_what_their_part_of_a_list_is_called() -> None:
    gate = types.Gate(name="auc", expression="a")
    before = types.Project(policy={"rules": [{"to_stage": "testing", "gates": [gate, types.Gate(name="x")]}]})
    after = types.Project(policy={"rules": [{"to_stage": "testing", "gates": [types.Gate(name="x"), gate]}]})
    assert told(before, after, "policy") == [("policy.rules[0].gates", "the order auc, x", "the order x, auc")]
    after.policy.rules[0].gates[1].expression = "b"
    after.policy.rules[0].gates.add(name="new")
    assert told(before, after, "policy") == [
        ("policy.rules[0].gates[auc].expression", '"a"', '"b"'),
        ("policy.rules[0].gates[new].name", None, '"new"'),
        ("policy.rules[0].gates", "the order auc, x", "the order x, auc"),
    ]


def test_keys_of_maps_lists_and_enums_are_told_as_they_are_written() -> None:
    before = types.Model(tags={"a": "1", "b c": "2"}, details={"owners": ["users/ada"]})
    after = types.Model(tags={"a": "2"}, details={"owners": ["users/ben"]})
    assert told(before, after, "details", "tags") == [
        ("details.owners", '["users/ada"]', '["users/ben"]'),
        ("tags.a", '"1"', '"2"'),
        ("tags[b c]", '"2"', None),
    ]
    production = deployment.Environment(admitted_phases=[types.PHASE_PRODUCTION])
    assert told(deployment.Environment(), production, "admitted_phases") == [
        ("admitted_phases", None, '["production"]')
    ]


def test_what_is_not_said_is_left_and_an_empty_text_clears() -> None:
    present = types.Model(details={"title": "T", "task": "t"}, tags={"a": "1", "b": "2"})
    goal = wanted(document(HEAD + 'details: {title: ""}\ntags: {a: x}\n'), present)
    assert (goal.details.title, goal.details.task) == ("", "t")
    assert dict(goal.tags) == {"a": "x", "b": "2"}
    assert wanted(document(HEAD), present) == present


def test_a_policy_is_said_as_a_whole() -> None:
    present = types.Project(
        title="T", policy={"rules": [{"to_stage": "testing", "gates": [{"name": "g", "expression": "true"}]}]}
    )
    goal = wanted(document("kind: Project\nname: risk\npolicy: {rules: [{toStage: testing}]}\n"), present)
    assert told(present, goal, "policy", "title") == [
        ("policy.rules[0].gates[g].name", '"g"', None),
        ("policy.rules[0].gates[g].expression", '"true"', None),
    ]


@settings(max_examples=100, deadline=None)
@given(
    st.builds(
        monitoring.Check,
        id=st.just("c"),
        method=st.sampled_from([one.number for one in monitoring.Method.DESCRIPTOR.values if one.number]),
        threshold=st.sampled_from([0.1, 0.5]),
        minimum_rows=st.integers(0, 3),
        raise_after_windows=st.integers(0, 2),
        resolve_after_windows=st.integers(0, 2),
        severity=st.sampled_from([0, 1, 2]),
    )
)
def test_checks_are_completed_as_monitoring_does(check: monitoring.Check) -> None:
    if check.method in series.METHODS:
        check.watched = monitoring.METHOD_ACCURACY
    elif METHODS[check.method].estimated is not None:
        check.columns.append("score")
    elif METHODS[check.method].groups:
        check.sensitive = "sex"
    goal = complete("Monitor", monitoring.Monitor(checks=[check]), monitoring.Monitor())
    assert list(goal.checks) == complete_checks([check])


def test_rules_are_completed_as_monitoring_does() -> None:
    rule, check = monitoring.AlertRule(id="r", when="failed"), monitoring.Check(id="c")
    goal = complete("Monitor", monitoring.Monitor(rules=[rule]), monitoring.Monitor())
    assert list(goal.rules) == complete_rules([rule], [check])


@pytest.mark.parametrize(("rows", "days"), [(0, 0), (100, 0), (100, 3)])
def test_windows_are_completed_as_monitoring_does(rows: int, days: int) -> None:
    window = monitoring.WindowSpec(size_rows=500, sample_rows=rows, sample_days=days)
    goal = complete("Monitor", monitoring.Monitor(window=window), monitoring.Monitor())
    assert goal.window == complete_window(window)


@pytest.mark.parametrize("phases", [[], [types.PHASE_PRODUCTION, types.PHASE_STAGING]])
@pytest.mark.parametrize("present", [[], [types.PHASE_TESTING]])
def test_environments_are_completed_as_deployment_does(phases: list[Any], present: list[Any]) -> None:

    known = deployment.Environment(name="n" if present else "", driver="process" * bool(present))
    known.admitted_phases[:] = present
    event = define(known, driver="", terms=facts.EnvironmentChanged(admitted_phases=phases), drivers={"process": {}})
    goal = complete("Environment", deployment.Environment(admitted_phases=phases), known)
    assert goal.driver == "process"
    assert list(goal.admitted_phases) == list(event.admitted_phases if event is not None else present)
