"""Strategies as people type them."""

from typing import Any

import click
import pytest
from google.protobuf.json_format import MessageToDict

from modelog.cli.progressing import steps_of
from modelog.cli.strategies import fill, options
from modelog.deployment.v1.types_pb2 import Strategy


def typed(*words: str) -> dict[str, Any]:
    command = click.Command("start", params=list(options()))
    values = command.make_context("start", list(words)).params
    strategy = Strategy()
    fill(strategy, values)
    plain: dict[str, Any] = MessageToDict(strategy, preserving_proto_field_name=True)
    return plain


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--recreate --ready 90s", {"recreate": {}, "ready_deadline": "90s"}),
        ("--rolling surge=1,unavailable=0", {"rolling": {"max_surge": {"count": 1}, "max_unavailable": {"count": 0}}}),
        ("--rolling surge=25% --step 5m", {"rolling": {"max_surge": {"percent": 25}, "step": "300s"}}),
        ("--rolling surge=2 --progress 1h", {"rolling": {"max_surge": {"count": 2}}, "progress_deadline": "3600s"}),
        ("--blue-green --soak 10m --gate", {"blue_green": {"soak": "600s", "gate": True}}),
        ("--blue-green --step 10m", {"blue_green": {"soak": "600s"}}),
        ("--shadow 20 --for 1h", {"shadow": {"percent": 20, "duration": "3600s"}}),
        (
            "--shadow 20 --for 1h --max-disagreement 0.01 --min-requests 5",
            {
                "shadow": {
                    "percent": 20,
                    "duration": "3600s",
                    "max_disagreement": 0.01,
                    "analysis": {"min_requests": "5"},
                }
            },
        ),
    ],
)
def test_options_become_a_strategy(line: str, expected: dict[str, Any]) -> None:
    assert typed(*line.split()) == expected


def test_steps_have_their_own_times_and_pauses() -> None:
    steps = typed("--canary", "5@10m, 25%,50@1h:pause,100:pause", "--step", "30s")["canary"]["steps"]
    assert steps == [
        {"percent": 5, "duration": "600s"},
        {"percent": 25, "duration": "30s"},
        {"percent": 50, "duration": "3600s", "pause": True},
        {"percent": 100, "duration": "30s", "pause": True},
    ]


def test_a_shadow_may_be_followed_by_a_canary() -> None:
    shadow = typed("--shadow", "100", "--for", "5m", "--then-canary", "10,50", "--max-restarts", "2")
    assert [step["percent"] for step in shadow["shadow"]["then"]["steps"]] == [10, 50]
    assert shadow["max_restarts"] == 2


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "say how it takes over"),
        ("--recreate --shadow 5 --for 1m", "say how it takes over"),
        ("--shadow 5", "--for 1h"),
        ("--canary ten", "is no step like 5"),
        ("--canary 5@soon", "is no length of time"),
        ("--rolling much", "is not like surge=1"),
        ("--rolling surge=1,surge=2", "is not like surge=1"),
    ],
)
def test_what_is_not_understood_is_said(line: str, told: str) -> None:
    with pytest.raises(click.UsageError, match=told):
        typed(*line.split())


@pytest.mark.parametrize(
    ("said", "steps"),
    [
        ({}, [("100 %", 0.0, False)]),
        (
            {"canary": {"steps": [{"percent": 5, "duration": {"seconds": 60}}, {"percent": 50, "pause": True}]}},
            [("5 %", 60.0, False), ("50 %", 0.0, True)],
        ),
        ({"blue_green": {"gate": True, "soak": {"seconds": 9}}}, [("0 %", 0.0, True), ("100 %", 9.0, False)]),
        ({"rolling": {"step": {"seconds": 30}}}, [("by replicas", 30.0, False)]),
        (
            {"shadow": {"percent": 20, "duration": {"seconds": 60}, "then": {"steps": [{"percent": 10}]}}},
            [("copies of 20 %", 60.0, False), ("10 %", 0.0, False)],
        ),
    ],
)
def test_each_strategy_is_pictured_by_its_steps(said: dict[str, Any], steps: list[tuple[str, float, bool]]) -> None:
    assert list(steps_of(Strategy(**said))) == steps
