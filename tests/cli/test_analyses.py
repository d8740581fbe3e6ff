"""What steps have to show, from options and from a file, and how results are shown."""

from pathlib import Path
from typing import Any

import click
import pytest

from modelog.cli.analyses import OPTIONS, asks_something, fill_analysis
from modelog.cli.cells import summary
from modelog.deployment.v1 import types_pb2 as types

FILE = """\
maxErrorRate: 0.2
minRequests: 50
initialDelay: 30s
metrics:
- {id: errors, source: error-rate, compared: {difference: 0.005}}
- {id: drift, source: check, monitor: risk/fraud-eu, check: drift, atMost: 0.25}
- {id: alerts, source: alerts, monitor: risk/fraud-eu, minimumSeverity: critical}
- id: both
  source: expression
  expression: "metrics.drift.value < 0.1 || fresh.p99 < 1.1 * running.p99"
"""


def values(*arguments: str) -> dict[str, Any]:
    command = click.Command("start", params=list(OPTIONS))
    return command.make_context("start", list(arguments)).params


def analysis(*arguments: str) -> types.Analysis:
    made = types.Strategy()
    fill_analysis(made.canary.analysis, values(*arguments))
    return made.canary.analysis


def test_a_file_says_everything_an_analysis_can_say(tmp_path: Path) -> None:
    path = tmp_path / "analysis.yaml"
    path.write_text(FILE)
    found = analysis("--analysis", str(path), "--max-error-rate", "0.1", "--max-error-increase", "0.01")
    assert (found.max_error_rate, found.min_requests, found.initial_delay.seconds) == (0.1, 50, 30)
    assert [one.id for one in found.metrics] == ["errors", "drift", "alerts", "both", "error_increase"]
    assert found.metrics[0].compared.difference == 0.005
    assert found.metrics[1].monitor == "projects/risk/monitors/fraud-eu"
    assert found.metrics[4].compared.difference == 0.01


def test_json_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "analysis.json"
    path.write_text('{"metrics": [{"id": "p50", "source": "latency", "quantile": 0.5, "atMost": 20}]}')
    assert analysis("--analysis", str(path)).metrics[0].at_most == 20


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("metrics: 3", "is a list"),
        ("metricz: []", "did you mean 'metrics'?"),
        ("metrics:\n- {id: one, source: errors}", ":2: "),
        ("a: [", "no YAML"),
        ("a: 1\n---\nb: 2", "write one document"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "analysis.yaml"
    path.write_text(text)
    with pytest.raises(click.UsageError) as refused:
        analysis("--analysis", str(path))
    assert words in str(refused.value)


def test_options_alone(tmp_path: Path) -> None:
    found = analysis("--max-latency-ratio", "1.2", "--failure-limit", "2", "--alpha", "0.01")
    assert (found.metrics[0].id, found.metrics[0].compared.ratio) == ("latency_ratio", 1.2)
    assert (found.failure_limit, found.alpha) == (2, 0.01)
    alerts = analysis("--rollback-on-alert", "--alert-severity", "critical", "--initial-delay", "5s")
    assert (alerts.rollback_on_alert, alerts.minimum_alert_severity, alerts.initial_delay.seconds) == (True, 2, 5)


def test_without_options_there_is_an_analysis_that_allows_no_error() -> None:
    made = types.Strategy()
    fill_analysis(made.canary.analysis, values())
    assert made.canary.HasField("analysis")
    assert not asks_something(values())
    assert asks_something(values("--alpha", "0.1"))


def test_a_metric_is_shown_in_a_line() -> None:
    result = types.MetricResult(
        id="errors", verdict=types.VERDICT_FAILED, finding="0.08 is worse", samples=90, running_samples=810
    )
    field = types.AnalysisResult.DESCRIPTOR.fields_by_name["metrics"]
    told = summary(field, result, single=True)
    assert told is not None
    assert told.text == "errors: failed, 0.08 is worse (90 and 810 samples)"
    unjudged = summary(field, types.MetricResult(id="errors", finding="nothing"), single=True)
    assert unjudged is not None
    assert unjudged.text == "errors: not judged, nothing (0 samples)"
