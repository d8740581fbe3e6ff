"""How versions stand to the first: metrics, columns, code; and what becomes known of them from other services."""

import math

from hypothesis import given
from hypothesis import strategies as st

from modelog.deployment.v1 import events_pb2 as deployment
from modelog.monitoring.v1 import events_pb2 as monitoring
from modelog.registry.v1 import declare_pb2 as declare
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain import KNOWN_ALERT, KNOWN_RETRAINING, KNOWN_ROLLOUT
from services.registry.domain.compare import compare
from services.registry.domain.contrast import difference
from testkit.scenario import life
from tests.registry.build import MODEL_NAME, PROJECT_NAME, VERSION_NAME, evaluated, registered

SECOND, THIRD = f"{MODEL_NAME}/versions/2", f"{MODEL_NAME}/versions/3"
BETTER, WORSE, EQUAL = declare.METRIC_CHANGE_BETTER, declare.METRIC_CHANGE_WORSE, declare.METRIC_CHANGE_EQUAL


def metric(value: float, higher_is_better: bool = True) -> types.Metric:
    return types.Metric(value=value, higher_is_better=higher_is_better)


def test_a_metric_is_better_by_so_much_in_its_own_direction() -> None:
    assert difference(metric(0.8), metric(0.9)).change == BETTER
    assert difference(metric(0.3, False), metric(0.2, False)).change == BETTER
    assert difference(metric(0.8), metric(0.6)).change == WORSE
    told = difference(metric(-2.0), metric(-1.0))
    assert (told.change, told.difference, told.relative) == (BETTER, 1.0, 0.5)
    assert difference(metric(1.0), metric(1.0)).change == EQUAL
    assert not difference(metric(0.0), metric(1.0)).HasField("relative")


def test_what_cannot_be_compared_is_not() -> None:
    assert difference(None, metric(1.0)) == declare.MetricDifference()
    assert difference(metric(1.0), None) == declare.MetricDifference()
    odd = difference(metric(1.0), metric(2.0, False))
    assert (odd.change, odd.difference) == (declare.METRIC_CHANGE_UNSPECIFIED, 1.0)


_FINITE = st.floats(-1e6, 1e6)


@given(_FINITE, _FINITE, st.booleans())
def test_better_one_way_is_worse_the_other(one: float, other: float, higher: bool) -> None:
    there, back = (
        difference(metric(one, higher), metric(other, higher)),
        difference(metric(other, higher), metric(one, higher)),
    )
    assert (there.change, back.change) in {(BETTER, WORSE), (WORSE, BETTER), (EQUAL, EQUAL)}
    assert math.isclose(there.difference, -back.difference)
    assert difference(metric(one, higher), metric(other, not higher)).change == declare.METRIC_CHANGE_UNSPECIFIED


def test_differences_are_against_the_first_version_and_equal_metrics_are_told_only_when_asked_for() -> None:
    versions = [registered(evaluated(auc), name=name).state for name, auc in ((VERSION_NAME, 0.8), (SECOND, 0.9))]
    (told,) = compare(versions).metrics
    assert [one.change for one in told.differences] == [EQUAL, BETTER]
    same = [registered(evaluated(0.8), name=name).state for name in (VERSION_NAME, SECOND)]
    assert not compare(same).metrics
    (told,) = compare(same, include_equal=True).metrics
    assert list(told.best) == [VERSION_NAME, SECOND]


def test_columns_are_added_removed_or_of_another_type() -> None:
    def signed(*inputs: tuple[str, int, list[int]], name: str) -> types.Version:
        columns = [{"name": column, "type": kind, "shape": shape} for column, kind, shape in inputs]
        outputs = [{"name": "p", "type": types.DATA_TYPE_FLOAT64}]
        state: types.Version = registered(name=name, signature={"inputs": columns, "outputs": outputs}).state
        return state

    first = signed(("age", types.DATA_TYPE_INT64, []), ("gone", types.DATA_TYPE_BOOL, []), name=VERSION_NAME)
    second = signed(("age", types.DATA_TYPE_FLOAT64, [2, -1]), ("new", types.DATA_TYPE_STRING, []), name=SECOND)
    told = [(row.path, list(row.types)) for row in compare([first, second]).columns]
    assert told == [
        ("inputs.age", ["INT64", "FLOAT64 [2, -1]"]),
        ("inputs.gone", ["BOOL", ""]),
        ("inputs.new", ["", "STRING"]),
    ]
    assert [row.path for row in compare([first, second], include_equal=True).columns][-1] == "outputs.p"


def test_commits_of_one_repository_are_told_as_a_range() -> None:
    def made(name: str, repository: str, commit: str, **more: bool) -> types.Version:
        source = {"repository": repository, "commit": commit, **more}
        state: types.Version = registered(name=name, source=source).state
        return state

    first = made(VERSION_NAME, "git@example.org:fraud", "a" * 40)
    others = [
        made(SECOND, "git@example.org:fraud", "b" * 40, dirty=True),
        made(THIRD, "git@example.org:other", "c" * 40),
    ]
    second, third = compare([first, *others]).sources
    assert (second.name, second.repository, second.commit_range) == (
        SECOND, "git@example.org:fraud", f"{'a' * 12}..{'b' * 12}",
    )  # fmt: skip
    assert second.dirty
    assert (third.repository, third.commit_range) == ("", "")
    assert not compare([first, made(SECOND, "git@example.org:fraud", "a" * 40)]).sources
    assert not compare([first, registered(name=SECOND).state], include_equal=True).sources


def test_three_facts_of_others_say_something_of_a_version_and_the_rest_changes_nothing() -> None:
    rollout = life(KNOWN_ROLLOUT, f"{PROJECT_NAME}/endpoints/eu/rollouts/1")
    rollout.given(deployment.RolloutRequested(version=SECOND), deployment.RolloutStarted(version=SECOND))
    assert rollout.state.version == ""
    rollout.given(deployment.RolledBack(version=SECOND, restored_version=VERSION_NAME, cause="5 % errors"))
    assert (rollout.state.version, rollout.state.summary) == (SECOND, "5 % errors")
    alert = life(KNOWN_ALERT, f"{PROJECT_NAME}/monitors/eu/alerts/1")
    alert.given(monitoring.AlertRaised(version=SECOND, check="drift", endpoint="e"), monitoring.AlertResolved())
    assert (alert.state.version, alert.state.summary) == (SECOND, "drift on e")
    retraining = life(KNOWN_RETRAINING, f"{PROJECT_NAME}/monitors/eu/retrainings/1")
    retraining.given(monitoring.RetrainingRequested(version=SECOND, alert="a"))
    assert (retraining.state.version, retraining.state.summary) == (SECOND, "a")
