"""Gates in CEL: what is refused when a policy is set, what an evaluation tells, and that it always ends soon."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.expressions import evaluate, fault
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain.gates import judge
from services.registry.domain.seen import NAMES, values_of, worst_fairness
from tests.registry.build import ADA, DIGEST, at, evaluated, project, registered, rule


def fairness(attribute: str, difference: float, ratio: float) -> types.Fairness:
    return types.Fairness(
        attribute=attribute,
        metrics={
            "demographic_parity_difference": types.Metric(value=difference),
            "ratio": types.Metric(value=ratio, higher_is_better=True),
        },
    )


def version() -> types.Version:
    state: types.Version = registered(
        evaluated(0.91),
        source={"commit": "a" * 40, "dirty": True},
        hyperparameters={"depth": "3"},
        training_data=[{"name": "train", "sha256": DIGEST}],
        documentation={
            "limitations": "known",
            "properties": {"rows": {"number": 12.0}, "when": {"time": {"seconds": 1}}},
        },
        framework="scikit-learn 1.9",
    ).state
    holdout = state.evaluations["holdout"]
    holdout.fairness.append(fairness("sex", 0.05, 0.9))
    holdout.slices.add(column="region", value="eu", rows=10, metrics={"auc": {"value": 0.6}})
    state.evaluations["late"].fairness.append(fairness("age", 0.2, 0.8))
    return state


VALUES = values_of(version())


@pytest.mark.parametrize(
    "expression",
    [
        "evaluations['holdout'].metrics.auc >= 0.8 && fairness.demographic_parity_difference <= 0.2",
        "evaluations.holdout.metrics['auc'] > 0.9",
        "evaluations.holdout.fairness.sex.demographic_parity_difference < 0.1",
        "evaluations.holdout.slices.exists(s, s.column == 'region' && s.metrics.auc < 0.7)",
        "evaluations.all(id, !evaluations[id].slices.exists(s, s.rows < 5))",
        "has(evaluations.holdout) && !has(evaluations.other)",
        "size(training_data) == 1 && training_data[0].name == 'train'",
        "int(hyperparameters.depth) <= 5 && double(hyperparameters['depth']) == 3.0",
        "source.dirty && source.commit.startsWith('aaaa')",
        "documentation.limitations != '' && documentation.properties.rows == 12.0",
        "documentation.properties.when == '1970-01-01T00:00:01Z'",
        "artifact.format in ['onnx', 'safetensors'] && artifact.size_bytes < 10000",
        "stage == 'development' && phase == 'DEVELOPMENT' && framework.contains('scikit')",
        f"author == '{ADA}' && tags.size() == 0",
    ],
)
def test_expressions_that_hold(expression: str) -> None:
    assert fault(expression, NAMES) is None
    assert evaluate(expression, VALUES)[:2] == (True, "")


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("evaluations.holdout.metrics.auc > 0.95", "does not hold"),
        ("evaluations.gone.metrics.auc > 0.5", "there is no 'gone'"),
        ("evaluations.holdout.metrics.f1 > 0.5", "there is no 'f1'"),
        ("size(evaluations)", "is 2, not true or false"),
        ("evaluations.holdout.metrics.auc > 'much'", "not evaluated"),
        ("1 / 0 == 1", "not evaluated"),
        ("training_data[5].name == ''", "not evaluated"),
        ("double(framework) > 1.0", "not evaluated"),
    ],
)
def test_what_does_not_hold_or_cannot_be_told_fails_with_its_reason(expression: str, reason: str) -> None:
    assert fault(expression, NAMES) is None
    result = evaluate(expression, VALUES)
    assert not result.passed
    assert reason in result.reason


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("evaluations.holdout.metrics.auc >=", "Syntax error"),
        ("metrics.auc > 1.0", "unknown name 'metrics'"),
        ("evaluations.all(e, x > 1)", "unknown name 'x'"),
        ("framework.matches('(a+)+')", "unknown function 'matches'"),
        ("now() > 1", "unknown function 'now'"),
        ("tags.all(a, tags.all(b, tags.all(c, true)))", "3 macros"),
        ("tags.map(a, a) == []", "map is not evaluated"),
        ("tags . filter (a, true) == []", "filter is not evaluated"),
        ("tags. // hidden\nmap(a, a) == []", "a comment could hide"),
        ("tags.transformList(i, v, v) == []", "unknown function 'transformList'"),
        ("1" + "+1" * 9 + " == 10", "9 additions"),
        ("", "Syntax error"),
    ],
)
def test_wrong_expressions_are_told_when_they_are_defined(expression: str, told: str) -> None:
    assert told in (fault(expression, NAMES) or "")


def test_evidence_is_each_path_that_names_a_value() -> None:
    result = evaluate("evaluations['holdout'].metrics.auc > 0.5 && tags.size() == 0 && has(source.commit)", VALUES)
    assert result.evidence == {"evaluations.holdout.metrics.auc": "0.91", "source.commit": f'"{"a" * 40}"'}
    assert evaluate("evaluations.gone.metrics.auc > 0.5", VALUES).evidence == {"evaluations.gone.metrics.auc": "absent"}
    assert (
        len(
            evaluate("documentation.summary == ''", {"documentation": {"summary": "x" * 9999}}).evidence[
                "documentation.summary"
            ]
        )
        == 256
    )


def test_fairness_is_the_worst_over_all_attributes_and_evaluations() -> None:
    assert worst_fairness(version()) == {"demographic_parity_difference": 0.2, "ratio": 0.8}


def large() -> dict[str, Any]:
    """A version as large as the limits of the requests allow."""
    values = dict(VALUES)
    values["tags"] = {f"t{n}": "z" * 1024 for n in range(64)}
    values["hyperparameters"] = {f"h{n}": "x" * 1024 for n in range(256)}
    metrics = {f"m{n}": 0.5 for n in range(32)}
    values["evaluations"] = {
        f"e{n}": {"metrics": metrics, "slices": [{"rows": row, "metrics": metrics} for row in range(128)]}
        for n in range(32)
    }
    return values


TWELVE = "[" + ",".join(["tags"] * 12) + "]"
EXPENSIVE = [
    "hyperparameters.all(a, hyperparameters.all(b, a != b || size(a) < 9))",
    "hyperparameters.all(a, " + " && ".join(["hyperparameters == hyperparameters"] * 25) + ")",
    "evaluations.all(a, " + " && ".join(["evaluations == evaluations"] * 30) + ")",
    "tags.all(a, tags.all(b, evaluations == evaluations))",
    "tags.all(a, tags.all(b, size([" + ",".join(["tags"] * 20) + "]) > 0))",
    f"tags.all(a, tags.all(b, {TWELVE} == {TWELVE}))",
    "tags.all(a, " + "+".join([TWELVE] * 9) + " != [])",
    "evaluations.all(e, evaluations[e].slices.all(s, s.rows >= 0))",
    "evaluations == evaluations",
    "[" + ",".join(["1"] * 450) + "].all(a, [1].all(b, a == b))",
]


@pytest.mark.parametrize("number", range(len(EXPENSIVE)))
def test_an_expensive_expression_ends_soon_one_way_or_the_other(number: int) -> None:
    assert fault(EXPENSIVE[number], NAMES) is None
    began = time.process_time()  # What it costs, whatever else the machine does.
    result = evaluate(EXPENSIVE[number], large())
    assert result.passed or "too many steps" in result.reason
    assert time.process_time() - began < 4.0


def test_the_gates_of_one_transition_share_one_budget() -> None:
    slow = "hyperparameters.all(a, " + " && ".join(["hyperparameters == hyperparameters"] * 8) + ")"
    version = registered(hyperparameters={f"h{n}": "x" * 1024 for n in range(256)}).state
    outcomes = judge(version, "testing", at(project(rule(gates=(slow,) * 8)))).gates
    results = [one.result for one in outcomes if one.kind == types.GATE_KIND_EXPRESSION]
    assert results[0] == types.GATE_RESULT_PASSED
    assert results[-1] == types.GATE_RESULT_FAILED


def test_an_ordinary_gate_over_an_ordinary_version_is_far_from_the_budget() -> None:
    values = large()
    values["evaluations"] = {name: values["evaluations"][name] for name in ("e1", "e2", "e3")}
    result = evaluate("evaluations.e1.slices.all(s, s.metrics.m1 >= 0.5)", values)
    assert result.passed


SIGNS = ". [ ] ( ) ' all exists map x , + - == > 1 0.5 && || ! ? : size has in { } \\ é 9223372036854775807 null"
WORDS = st.sampled_from([*sorted(NAMES), "holdout", "metrics", "auc", " ", "\n", *SIGNS.split()])


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(
        st.lists(WORDS, max_size=25).map(" ".join), st.lists(WORDS, max_size=25).map("".join), st.text(max_size=60)
    )
)
def test_no_text_gets_past_as_anything_but_a_result(expression: str) -> None:
    told = fault(expression, NAMES)
    result = evaluate(expression, VALUES)
    assert result.passed == (result.reason == "")
    if told is not None and "Syntax" in told:
        assert not result.passed
