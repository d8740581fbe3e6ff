"""What is found different from the facts, until it is recorded."""

from services.deployment.drivers.port import Key, Replica, State
from services.deployment.repairs import Repairs

ENDPOINT, VERSION = "projects/risk/endpoints/fraud-eu", "projects/risk/models/fraud/versions/1"
WANTED = {ENDPOINT: (VERSION,)}


def replica(run: str, state: State = State.READY) -> Replica:
    return Replica("risk_fraud-eu_fraud_1_1", Key(ENDPOINT, VERSION), state, "127.0.0.1:8000", run=run)


def found(repairs: Repairs) -> list[str]:
    return [one.finding for _, all_ in repairs.due() for one in all_]


def test_a_replica_that_is_not_seen_any_more_was_gone() -> None:
    repairs = Repairs()
    repairs.look([replica("1")], WANTED)
    repairs.look([], WANTED)
    assert found(repairs) == ["replica risk_fraud-eu_fraud_1_1 was gone and is started again"]


def test_nothing_is_said_of_replicas_while_their_platform_is_away() -> None:
    repairs = Repairs()
    repairs.look([replica("1")], WANTED)
    repairs.look([], {}, away=(ENDPOINT,))
    repairs.look([replica("1")], WANTED)
    assert found(repairs) == []


def test_what_was_started_anew_while_its_platform_was_away_is_found_when_it_is_back() -> None:
    repairs = Repairs()
    repairs.look([replica("1")], WANTED)
    repairs.look([], {}, away=(ENDPOINT,))
    repairs.look([], {}, away=(ENDPOINT,))
    repairs.look([replica("2")], WANTED)
    assert found(repairs) == ["replica risk_fraud-eu_fraud_1_1 was gone and is started again"]


def test_nobody_remembers_replicas_of_an_endpoint_that_was_removed() -> None:
    repairs = Repairs()
    repairs.look([replica("1")], WANTED)
    repairs.look([], {})
    repairs.look([replica("2")], WANTED)
    assert found(repairs) == []
