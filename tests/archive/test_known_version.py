"""What the archive knows of versions, and how filters choose them."""

from datetime import timedelta

import pytest

from modelog.registry.v1 import events_pb2 as registry
from services.archive.domain.choosing import Candidate
from services.archive.domain.known import digests
from testkit.scenario import START
from tests.archive.test_retention import ended


@pytest.mark.parametrize(
    ("filter_", "chosen"),
    [
        ("", True),
        ("phases:PRODUCTION", True),
        ("phase = PRODUCTION", True),
        ("phase = DEVELOPMENT", False),
        ("phases:DEVELOPMENT stages:live stage = live", True),
        ("stages:retired", False),
        ("tags.use = credit AND model = fra*", True),
        ("tags.use = debit OR number > 2", True),
        ("NOT tags:use", False),
        ("deprecated = true", False),
        ('author = "users/ada" artifact.format:ONNX artifact.size_bytes >= 900', True),
        ("tags.other != x", True),
        ('create_time < "2026-03-01T00:00:00Z"', False),
    ],
)
def test_versions_are_chosen_by_what_they_were_at_the_end(filter_: str, chosen: bool) -> None:
    assert Candidate(ended().state).meets(filter_) is chosen


def test_what_happens_to_a_retired_version_changes_no_choice() -> None:
    known = ended()
    before = known.state.SerializeToString(deterministic=True)
    known.given(registry.TagSet(key="use", value="debit"), registry.TagRemoved(key="use"))
    known.state.generation, known.state.revision = 3, 3
    known.state.update_time.FromDatetime(START + timedelta(hours=3))
    assert known.state.SerializeToString(deterministic=True) == before


def test_an_artifact_is_all_of_its_files() -> None:
    assert digests(ended().state) == {"ab" * 32, "cd" * 32}
