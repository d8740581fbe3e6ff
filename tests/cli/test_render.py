"""Messages as JSON and as text, also those that this build does not know."""

from datetime import UTC, datetime

from modelog.archive.v1.types_pb2 import HistoryEntry
from modelog.cli import render
from modelog.cli.cells import cell
from modelog.cli.log import row
from modelog.deployment.v1.types_pb2 import Endpoint
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types


def entry(event: object) -> HistoryEntry:
    made = HistoryEntry(revision=7, subject="s")
    made.fact.resource = "projects/p"
    made.fact.recorded_at.FromDatetime(datetime(2026, 5, 1, 12, tzinfo=UTC))
    made.fact.actor.id = "users/ada"
    made.fact.event.Pack(event)  # type: ignore[arg-type]
    return made


def test_a_fact_is_json_with_its_event_inside() -> None:
    plain = render.plain(entry(facts.StageChanged(to_stage="testing")))
    assert plain["fact"]["event"]["@type"].endswith("/modelog.registry.v1.StageChanged")
    assert plain["fact"]["event"]["toStage"] == "testing"
    assert plain["revision"] == "7"


def test_an_event_of_the_future_keeps_its_bytes() -> None:
    unknown = entry(facts.StageChanged(to_stage="testing"))
    unknown.fact.event.type_url = "type.googleapis.com/modelog.registry.v1.FromTheFuture"
    unknown.fact.event.value = b"\x01\x02"
    assert render.plain(unknown)["fact"]["event"] == {
        "@type": "type.googleapis.com/modelog.registry.v1.FromTheFuture",
        "value": "AQI=",
    }
    assert row(unknown)[3] == "FromTheFuture"
    assert unknown.fact.event.value == b"\x01\x02"


def test_an_unreadable_message_is_shown_as_such() -> None:
    shown = row(HistoryEntry(revision=3, subject="lifecycle.x", unreadable=b"\xff"))
    assert [getattr(one, "text", one) for one in shown] == ["3", "", "lifecycle.x", "unreadable", ""]


def test_a_fact_in_a_line() -> None:
    shown = row(entry(facts.StageChanged(from_stage="a", to_stage="b", approvers=["users/bob", "users/eve"])))
    assert shown[:3] == ["7", "2026-05-01 12:00:00Z", "projects/p"]
    assert shown[3] == "StageChanged from_stage=a to_stage=b approvers=users/bob, users/eve"
    assert shown[4] == "users/ada"


def test_cells_say_little_in_few_words() -> None:
    version = types.Version(name="v", phase=types.PHASE_PRODUCTION)
    assert cell(version, "phase").text == "production"
    assert cell(version, "transition.state").text == ""
    version.transition.state = types.TRANSITION_STATE_REJECTED
    assert cell(version, "transition.state") == ("rejected", "red")
    model = types.Model(aliases={"b": types.Alias(version="v2"), "a": types.Alias(version="v1")})
    assert cell(model, "aliases").text == "a=v1, b=v2"
    endpoint = Endpoint()
    endpoint.traffic.add(version="projects/p/models/m/versions/3", percent=90, ready_replicas=2)
    assert cell(endpoint, "traffic").text == "p/m/3 90 % (2 ready)"
    assert cell(types.Version(phase=99), "phase").text == "99"  # type: ignore[arg-type]
