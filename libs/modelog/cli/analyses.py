"""What live requests to a new version have to show, as options and as a file."""

from pathlib import Path
from typing import Any

import click

from modelog.cli.values import Span

_SEVERITIES = ("warning", "critical")

# For every command that starts a rollout.
OPTIONS: tuple[click.Parameter, ...] = (
    click.Option(
        ["--analysis", "analysis_file"],
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="What steps have to show, out of a YAML or JSON file; options beside it win.",
    ),
    click.Option(["--max-error-rate"], type=float, help="Failed requests / requests, 0 to 1."),
    click.Option(["--max-latency-ms"], type=float, help="Of the 99th percentile."),
    click.Option(
        ["--max-error-increase"], type=float, help="How much more may fail than of the running version, 0 to 1."
    ),
    click.Option(
        ["--max-latency-ratio"], type=float, help="The 99th percentile / that of the running version, 1.2 for instance."
    ),
    click.Option(["--alpha"], type=float, help="Chance that comparing fails a version that is not worse; 0.05."),
    click.Option(["--min-requests"], type=int, help="With fewer a step is inconclusive."),
    click.Option(["--max-inconclusive"], type=int, help="Windows without a verdict before it pauses; 3."),
    click.Option(["--failure-limit"], type=int, help="Failed windows of a step that are tolerated; none."),
    click.Option(["--initial-delay"], type=Span(), help="How long after moving traffic nothing is counted."),
    click.Option(["--rollback-on-alert"], is_flag=True, help="An alert of monitoring rolls back."),
    click.Option(
        ["--alert-severity"],
        type=click.Choice(_SEVERITIES),
        help="With the option above: only alerts at least as bad.",
    ),
)
_PLAIN = ("max_error_rate", "max_latency_ms", "min_requests", "alpha", "max_inconclusive", "failure_limit")


def fill_analysis(analysis: Any, values: dict[str, Any]) -> None:
    """Writes what the options say into an Analysis: first the file, then each option; UsageError for a wrong file.

    Where nothing is said there is an analysis all the same, which allows no failed request.
    """
    analysis.SetInParent()
    if (path := values.get("analysis_file")) is not None:
        _read(path, analysis)
    for name in _PLAIN:
        if values.get(name) is not None:
            setattr(analysis, name, values[name])
    if values.get("rollback_on_alert"):
        analysis.rollback_on_alert = True
    if values.get("alert_severity"):
        analysis.minimum_alert_severity = _SEVERITIES.index(values["alert_severity"]) + 1
    if values.get("initial_delay") is not None:
        analysis.initial_delay.FromTimedelta(values["initial_delay"])
    if values.get("max_error_increase") is not None:
        metric = analysis.metrics.add(id="error_increase", source="METRIC_SOURCE_ERROR_RATE")
        metric.compared.difference = values["max_error_increase"]
    if values.get("max_latency_ratio") is not None:
        metric = analysis.metrics.add(id="latency_ratio", source="METRIC_SOURCE_LATENCY")
        metric.compared.ratio = values["max_latency_ratio"]


def asks_something(values: dict[str, Any]) -> bool:
    """Whether any of the options was given."""
    return any(values.get(str(option.name)) not in (None, False) for option in OPTIONS)


def _read(path: Path, analysis: Any) -> None:
    from modelog.declare.problems import Problems
    from modelog.declare.single import read_message

    try:
        read_message(path.read_text(encoding="utf-8"), str(path), analysis)
    except (Problems, ValueError) as error:
        raise click.UsageError(str(error)) from error
