"""Monitors, alerts, retrainings and outcomes, against a running monitoring service."""

import json
from datetime import UTC, datetime, timedelta

import click
import pytest

from modelog.cli.failures import FAILED, NOT_FOUND, USAGE
from modelog.cli.monitoring import _compared
from modelog.cli.state import State
from modelog.monitoring.v1 import alerts_pb2 as alerts
from modelog.monitoring.v1 import types_pb2 as types
from tests.cli.line import CommandLine


@pytest.fixture
def monitor(line: CommandLine, project: str) -> str:
    """A monitor of an endpoint, and version 1 of the model; its short name."""
    line("versions", "register", f"{project}/fraud", line.file("model.onnx", "weights"))
    line("environments", "define", project, "lab", "--admit", "testing")
    line("endpoints", "create", project, "eu", f"{project}/lab")
    line(
        "monitors", "create", project, "eu", f"{project}/eu", "--window-rows", "100", "--check", "psi=0.2",
        "--check", "volume=5", "--retrain", "psi",
    )  # fmt: skip
    return f"{project}/eu"


def test_a_monitor_is_made_changed_and_paused(line: CommandLine, project: str, monitor: str) -> None:
    made = line.json("monitors", "get", monitor)
    assert [(one["id"], one["threshold"]) for one in made["checks"]] == [("psi", 0.2), ("volume", 5.0)]
    assert made["checks"][0]["actions"] == ["ACTION_RETRAIN"]
    line("monitors", "update", monitor, "--window-rows", "250", "--description", "wider")
    line("monitors", "update", monitor, "--check", "missing-share=0.1", "--check", "roc-auc=0.8")
    changed = line.json("monitors", "get", monitor)
    assert (changed["window"]["sizeRows"], changed["description"]) == ("250", "wider")
    assert [one["id"] for one in changed["checks"]] == ["missing-share", "roc-auc"]
    assert changed["checks"][1]["method"] == "METHOD_ROC_AUC"
    line("monitors", "pause", monitor)
    assert "paused" in line("monitors", "list", project).out
    line("monitors", "resume", monitor)


def test_a_monitor_needs_a_check_that_exists(line: CommandLine, project: str, monitor: str) -> None:
    begin = ["monitors", "create", project, "other", f"{project}/eu", "--window-rows", "10"]
    assert "say what to check" in line(*begin, expect=USAGE).err
    assert "'guess' is none of psi" in line(*begin, "--check", "guess=1", expect=USAGE).err
    assert "not KEY=VALUE" in line(*begin, "--check", "psi", expect=USAGE).err


def test_a_baseline_comes_from_a_csv_file(line: CommandLine, monitor: str) -> None:
    rows = "\n".join(f"{number},{'ab'[number % 2]},0.5" for number in range(50))
    file = line.file("baseline.csv", f"amount,kind,p\n{rows}\n,a,0.5\n")
    line("monitors", "baseline", monitor, file, "--output", "p")
    baseline = line.json("monitors", "get", monitor)["baseline"]
    assert baseline["description"] == "baseline.csv"
    assert baseline["rows"] == "51"
    line(
        "monitors", "baseline", monitor, line.file("known.csv", "p,y\n0.5,1\n0.2,0\n"), "--output", "p", "--label", "y"
    )
    assert line.json("monitors", "get", monitor)["baseline"]["rows"] == "2"
    many = line.file("many.csv", "a,b\n" + "\n".join(f"{at % 97},{at % 89}" for at in range(60_000)))
    line("monitors", "baseline", monitor, many, "--output", "b", "--importance", "a=2")
    baseline = line.json("monitors", "get", monitor)["baseline"]
    assert (baseline["rows"], baseline["importances"]) == ("60000", {"a": 2.0})
    told = line("monitors", "baseline", monitor, many, "--output", "b", "--chunk-rows", "3000").out
    assert "WINDOWS FAILING BY CHANCE" in told
    assert "0 of 20" in told
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modelog.sdk.baselines.MOST_BYTES", 400_000)
        line("monitors", "baseline", monitor, many, "--output", "b")
    thinned = line.json("monitors", "get", monitor)["baseline"]
    assert (thinned["description"], thinned["rows"]) == ("many.csv, one in 3 of 60,000 rows", "20000")
    assert "period" in line("monitors", "baseline", monitor, expect=USAGE).err
    assert "no column z" in line("monitors", "baseline", monitor, file, "--label", "z", expect=USAGE).err
    assert "no column q" in line("monitors", "baseline", monitor, file, "--output", "q", expect=USAGE).err
    uneven = line.file("uneven.csv", "a,b\n1,2\n3\n")
    assert "line 3" in line("monitors", "baseline", monitor, uneven, expect=USAGE).err


def test_rows_are_kept_where_the_command_says_so(line: CommandLine, monitor: str) -> None:
    asked = ("monitors", "update", monitor, "--check", "domain-classifier=0.7")
    assert "sample_rows" in line(*asked, expect=USAGE).err
    line(*asked, "--window-rows", "100", "--sample-rows", "150", "--check", "outlier-share=0.1")
    window = line.json("monitors", "get", monitor)["window"]
    assert (window["sampleRows"], window["sampleDays"]) == (150, 7)
    rows = "\n".join(f"{number},{number % 7}" for number in range(150))
    file = line.file("rows.csv", f"amount,kind\n{rows}\n")
    line("monitors", "baseline", monitor, file, "--sample-rows", "20", "--outlier-share", "0.05")
    few = line.file("few.csv", "amount\n1\n2\n")
    assert "100 rows" in line("monitors", "baseline", monitor, few, "--outlier-share", "0.05", expect=USAGE).err


def test_outcomes_come_from_a_csv_file(line: CommandLine, monitor: str) -> None:
    file = line.file("outcomes.csv", "prediction_id,label\na-1,1\na-2,0\n")
    assert int(line.json("outcomes", "record", monitor, file)["position"]) >= 1
    assert (
        "has no column prediction_id"
        in line("outcomes", "record", monitor, line.file("x.csv", "a,b\n1,2\n"), expect=USAGE).err
    )


def test_a_simulation_takes_thresholds_from_a_file(line: CommandLine, monitor: str) -> None:
    file = line.file("new.yaml", "psi: 0.4\nvolume: 9\n")
    told = line.json("monitors", "simulate", monitor, "--thresholds", file, "--since", "90d")
    assert (told["windows"], told["alerts"]) == (0, [])
    whole = line.file(
        "whole.yaml", "checks: [{id: a, method: METHOD_VOLUME, threshold: 3}]\nrules: [{id: r, when: failed}]\n"
    )
    assert "0 would have been" in line("monitors", "simulate", monitor, "--thresholds", whole, "--since", "12h").out
    assert "no check" in line("monitors", "simulate", monitor, "--threshold", "x=1", "--since", "1h", expect=USAGE).err
    wrong = line.file("wrong.yaml", "psi: high\n")
    assert "high" in line("monitors", "simulate", monitor, "--thresholds", wrong, "--since", "1h", expect=USAGE).err
    assert "90d" in line("monitors", "simulate", monitor, "--since", "7", expect=USAGE).err


def test_a_retraining_is_asked_for_taken_and_given_up(line: CommandLine, project: str, monitor: str) -> None:
    line("retrainings", "request", monitor, f"{project}/fraud/1", "--reason", "new data")
    line("retrainings", "start", f"{monitor}/1", "--run", "http://runs.test/1")
    assert "started" in line("retrainings", "list", f"{project}/-").out
    line("retrainings", "abandon", f"{monitor}/1", expect=USAGE)
    line("retrainings", "abandon", f"{monitor}/1", "--reason", "no budget")
    assert line.json("retrainings", "get", f"{monitor}/1")["abandonReason"] == "no budget"


def test_a_queue_of_retrainings_is_worked_off(line: CommandLine, project: str, monitor: str) -> None:
    assert line("retrainings", "claim", project).err.strip() == "none waits"
    line("retrainings", "request", monitor, f"{project}/fraud/1", "--within-seconds", "3600")
    line("retrainings", "get", f"{monitor}/1")  # So that it is in the views.
    claimed = line.json("retrainings", "claim", project, "--model", f"{project}/fraud")
    assert (claimed["state"], claimed["name"]) == (
        "RETRAINING_STATE_CLAIMED",
        f"projects/{project}/monitors/eu/retrainings/1",
    )
    assert claimed["deadlineTime"] > claimed["createTime"]
    line("retrainings", "release", f"{monitor}/1", "--reason", "no time")
    line("retrainings", "get", f"{monitor}/1")
    failed = line("retrainings", "claim", project, "--exec", "false {version}", expect=FAILED)
    assert "false ended with 1" in failed.out
    line("retrainings", "get", f"{monitor}/1")
    line("retrainings", "claim", project, "--exec", "true {version} {retraining}")
    assert line.json("retrainings", "get", f"{monitor}/1")["state"] == "RETRAINING_STATE_STARTED"
    assert line("retirements", "list", f"{project}/-").err.strip() == "none"
    line("retirements", "accept", f"{monitor}/1", expect=NOT_FOUND)


def test_nothing_yet_is_said_on_the_side(line: CommandLine, project: str, monitor: str) -> None:
    for command in (["alerts", "list", monitor], ["monitors", "windows", monitor], ["monitors", "rejected", monitor]):
        nothing = line(*command)
        assert (nothing.out, nothing.err.strip()) == ("", "none")
        assert line.json(*command) == []
    for verb in (["get"], ["acknowledge"], ["resolve"]):
        line("alerts", *verb, f"{monitor}/1", expect=NOT_FOUND)
    line("alerts", "escalate", f"{monitor}/1", "--to", "users/bob", expect=NOT_FOUND)
    line("alerts", "rerun", f"{monitor}/1", expect=NOT_FOUND)
    line("alerts", "silence", f"{monitor}/1", "2030-01-01T00:00:00Z", expect=NOT_FOUND)
    line("monitors", "reevaluate", monitor, "1", expect=NOT_FOUND)


def test_a_rule_is_given_as_json_and_refused_with_what_to_write(line: CommandLine, monitor: str) -> None:
    rule = {"id": "drifting", "when": "failed && rows > 1000", "groupBy": ["GROUPING_CHECK"], "forWindows": 2}
    line("monitors", "update", monitor, "--rules", json.dumps(rule))
    (said,) = line.json("monitors", "get", monitor)["rules"]
    assert (said["when"], said["forWindows"], said["clearWindows"]) == ("failed && rows > 1000", 2, 1)
    wrong = line("monitors", "update", monitor, "--rules", json.dumps(rule | {"when": "fails"}), expect=USAGE)
    assert "unknown name 'fails'" in wrong.err
    assert "`failed && rows > 1000`" in wrong.err


def test_a_silence_is_made_listed_and_ended(line: CommandLine, project: str, monitor: str) -> None:
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert line("silences", "list", project).err.strip() == "none"
    line("silences", "create", project, until, expect=USAGE)
    line(
        "silences", "create", project, until, "--monitor", monitor, "--rule", "drifting", "--most-severity", "warning",
        "--hold-actions", "--reason", "moving house",
    )  # fmt: skip
    assert "moving house" in line("silences", "list", project).out
    made = line.json("silences", "get", f"{project}/1")
    assert (made["monitor"], made["mostSeverity"]) == (f"projects/{project}/monitors/eu", "SEVERITY_WARNING")
    line("silences", "end", f"{project}/1")
    assert line.json("silences", "list", project)[0]["endedBy"]


def test_an_alert_run_again_is_shown_number_by_number(capsys: pytest.CaptureFixture[str]) -> None:
    state = State(click.Context(click.Command("rerun")))
    recorded = types.CheckResult(check=types.Check(id="drift"), statistic=0.1 + 0.2, column="age")
    same = alerts.RerunAlertResponse(recorded=[recorded], recomputed=[recorded], same=True)
    assert _compared(state, same) == 0
    assert capsys.readouterr().out.split()[-5:] == ["drift", "age", "0.30000000000000004", "0.30000000000000004", "yes"]
    other = types.CheckResult(check=types.Check(id="drift"), statistic=0.3, column="age")
    assert _compared(state, alerts.RerunAlertResponse(recorded=[recorded], recomputed=[other])) == FAILED
    assert capsys.readouterr().out.split()[-2:] == ["0.3", "no"]
