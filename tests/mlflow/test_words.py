"""Names, texts, directions and ids of elsewhere."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.names import ID_PATTERN
from modelog.mlflow.words import clean, direction_of, id_of, principal_of, request_id


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("fraud", "fraud"),
        ("Fraud Model", "fraud-model"),
        ("churn.eu", "churn-eu"),
        ("__Préçis__2", "precis-2"),
        ("x" * 70, "x" * 63),
        ("a" * 62 + "-b", "a" * 62),
        ("Modell/7 (neu)", "modell-7-neu"),
    ],
)
def test_an_id_is_made_from_a_name(name: str, id_: str) -> None:
    assert id_of(name) == id_


@given(st.text(min_size=1))
def test_every_name_gets_an_id_and_always_the_same(name: str) -> None:
    assert ID_PATTERN.fullmatch(id_of(name))
    assert id_of(name) == id_of(name)


def test_names_that_leave_nothing_do_not_become_one() -> None:
    assert id_of("模型") != id_of("模型二")


@given(st.text())
def test_a_cleaned_text_is_taken_by_the_door(text: str) -> None:
    from kernel.hygiene import unclean
    from modelog.registry.v1.types_pb2 import ModelDetails

    cleaned = clean(text, 50)
    assert len(cleaned) <= 50
    assert not list(unclean(ModelDetails(title=cleaned)))


def test_cutting_leaves_a_text_in_its_normal_form() -> None:
    assert unicodedata.is_normalized("NFC", clean("e\u0301" * 10, 3))


@pytest.mark.parametrize(
    ("metric", "higher"),
    [
        ("accuracy", True),
        ("val_f1", True),
        ("test/ROC_AUC", True),
        ("r2_score", True),
        ("val_log_loss", False),
        ("rmse", False),
        ("mean_squared_error", False),
        ("odd_score", None),
        ("lift", None),
        ("system/cpu_utilization_percentage", None),
        ("precision_error", None),  # Says both, so nobody knows.
        ("accurate", None),
    ],
)
def test_a_direction_is_told_by_the_name_or_not_at_all(metric: str, higher: bool | None) -> None:
    assert direction_of(metric) is higher


def test_whoever_imports_says_the_direction_themselves() -> None:
    assert direction_of("odd_score", higher=("*_score",)) is True
    assert direction_of("accuracy", lower=("acc*",)) is False
    assert direction_of("accuracy", higher=("*",), lower=("acc*",)) is None


def test_users_become_principals() -> None:
    assert principal_of("ada", {}) == "users/ada"
    assert principal_of("Ada Lovelace", {}) == "users/ada-lovelace"
    assert principal_of("ada@example.org", {"ada@example.org": "users/ada"}) == "users/ada"
    assert principal_of("", {"": "users/ada"}) == ""


def test_request_ids_are_one_for_each_thing() -> None:
    things = (("s", "model", "a"), ("s", "model", "b"), ("s", "modela"), ("t", "model", "a"))
    made = [request_id(*parts) for parts in things]
    assert len(set(made)) == 4
    assert request_id("s", "model", "a") == made[0]
    assert all(len(one) <= 128 for one in made)
