"""What the copy reads out of a payload, whatever the payload holds."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.fold import pack
from kernel.log import Entry
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import events_pb2 as registry
from modelog.type.v1.principal_pb2 import Principal
from services.archive.reading import row_of

SUBJECT = "lifecycle.registry.risk.versions.fraud.3"
NAME = "projects/risk/models/fraud/versions/3"


def fact() -> Fact:
    made = Fact(resource=NAME, generation=1, actor=Principal(id="users/ada"), correlation_id="c")
    made.event.CopyFrom(pack(registry.StageChanged(to_stage="testing")))
    made.recorded_at.FromDatetime(datetime(2026, 3, 1, tzinfo=UTC))
    return made


def test_a_fact_is_read() -> None:
    payload = fact().SerializeToString()
    row = row_of(Entry(7, SUBJECT, payload))
    assert row == (
        7,
        SUBJECT,
        payload,
        NAME,
        "modelog.registry.v1.StageChanged",
        "users/ada",
        "c",
        datetime(2026, 3, 1, tzinfo=UTC),
        None,
    )


def test_when_it_happened_is_read_where_a_fact_says_it() -> None:
    made = fact()
    made.happened_at.FromDatetime(datetime(2020, 3, 1, tzinfo=UTC))
    row = row_of(Entry(7, SUBJECT, made.SerializeToString()))
    assert (row.recorded_at, row.happened_at) == (datetime(2026, 3, 1, tzinfo=UTC), datetime(2020, 3, 1, tzinfo=UTC))
    made.happened_at.seconds = 10**15
    assert row_of(Entry(7, SUBJECT, made.SerializeToString())).happened_at is None


@pytest.mark.parametrize("subject", ["lifecycle.registry.risk.versions.fraud.4", "lifecycle.registry", "x", ""])
def test_a_fact_on_the_subject_of_another_resource_is_not_believed(subject: str) -> None:
    assert row_of(Entry(1, subject, fact().SerializeToString())).resource == ""


def test_text_that_the_copy_cannot_store_is_replaced_beside_the_payload() -> None:
    strange = fact()
    strange.actor.id = "users/\0ada"
    strange.recorded_at.seconds = 10**15
    row = row_of(Entry(1, SUBJECT, strange.SerializeToString()))
    assert row.actor == "users/\ufffdada"
    assert row.recorded_at is None
    assert row.payload == strange.SerializeToString()


@given(st.binary(max_size=200), st.sampled_from([SUBJECT, "lifecycle.registry.risk.models.fraud"]))
def test_random_bytes_are_kept(payload: bytes, subject: str) -> None:
    row = row_of(Entry(1, subject, payload))
    assert row.payload == payload
    assert "\0" not in row.resource + row.event_type + row.actor + row.correlation_id
