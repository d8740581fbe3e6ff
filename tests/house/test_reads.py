"""Every method that reads says as of when: its answers of the past are tried, or there is a reason why it has none."""

from tests.house.image import Image
from tests.house.protos import READ_OPTIONS
from tests.suite.questions import QUESTIONS, WITHOUT_PAST, WITHOUT_READ


def test_every_read_of_folded_state_is_tried_as_of_the_past(image: Image) -> None:
    """tests/suite/test_moments.py holds the answers to QUESTIONS against those of then, and sees the others refuse."""
    fields = {method.name: image.fields(method.proto.input_type) for method in image.methods}
    takes = {name for name, one in fields.items() if "read" in one and one["read"].type_name == READ_OPTIONS}
    assert takes == QUESTIONS.keys() | WITHOUT_PAST.keys()
    assert not QUESTIONS.keys() & WITHOUT_PAST.keys()


def test_every_read_without_a_moment_says_why(image: Image) -> None:
    """What is neither a read with ReadOptions nor a write tells nothing that is folded from the log."""
    neither = set()
    for method in image.methods:
        fields = image.fields(method.proto.input_type)
        if "read" not in fields and "request_id" not in fields:
            neither.add(method.name)
    assert neither == WITHOUT_READ.keys()
