"""Cards in the formats of other tools: the schema's own validator takes them, and readers find what was measured."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as some

from modelog.card.cyclonedx import bill_of_materials
from modelog.card.huggingface import front_matter, hub_card
from modelog.card.quoting import dumped
from modelog.registry.v1.cards_pb2 import ModelCard
from tests.card.sample import card, empty, hostile
from tests.card.test_pages import ATTACKS

HUB = json.loads((Path(__file__).parents[1] / "oracle" / "huggingface.json").read_text(encoding="utf-8"))


def valid_bill(made: ModelCard) -> dict[str, Any]:
    text = bill_of_materials(made)
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert wrong is None, wrong
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_bill_of_a_full_card_is_valid_and_says_what_the_card_says() -> None:
    found = valid_bill(card())
    component = found["metadata"]["component"]
    assert component["type"] == "machine-learning-model"
    assert component["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert found["metadata"]["timestamp"] == "2026-03-02T18:00:00Z"
    metrics = {
        (one["type"], one["slice"]): one for one in component["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    }
    auc = card().version.evaluations["holdout"].metrics["roc_auc"]
    told = metrics["roc_auc", "holdout"]
    assert (float(told["value"]), float(told["confidenceInterval"]["lowerBound"])) == (auc.value, auc.interval.low)
    assert ("recall", "holdout: region=us") in metrics
    assert ("true_positive_rate", "holdout: sex=f") in metrics
    considered = component["modelCard"]["considerations"]
    assert considered["users"] == ["Analysts of the fraud desk. Decisions stay with them."]
    assert component["pedigree"]["ancestors"][0]["version"] == "2"
    assert [one["name"] for one in found["components"]] == ["payments-2025"]
    assert component["modelCard"]["modelParameters"]["datasets"] == [{"ref": "data-1"}]


def test_the_serial_number_is_that_of_the_card() -> None:
    later = card()
    later.as_of_revision += 1
    first, again, other = (valid_bill(one)["serialNumber"] for one in (card(), card(), later))
    assert first == again != other


@pytest.mark.parametrize("attack", ["x", "".join(ATTACKS.values())], ids=["plain", "hostile"])
def test_the_bill_is_valid_whatever_people_wrote(attack: str) -> None:
    made = hostile(lambda path: f"{attack} {path}")
    made.version.artifact.sha256 = "ab" * 32
    made.ancestors[0].artifact_sha256 = "cd" * 32
    for one in made.version.training_data:
        one.sha256 = "ef" * 32
    valid_bill(made)


def test_the_bill_of_an_empty_card_is_valid() -> None:
    valid_bill(empty())


def matter(text: str) -> Any:
    first, front, rest = text.split("---\n", 2)
    assert first == ""
    assert rest.startswith("\n# ")
    return yaml.safe_load(front)


def test_the_front_matter_is_what_was_meant() -> None:
    found = matter(hub_card(card()))
    assert found == front_matter(card())
    assert (found["license"], found["library_name"], found["language"]) == ("apache-2.0", "xgboost", ["en"])
    assert found["co2_eq_emissions"]["emissions"] == 350
    metrics = {one["type"]: one for one in found["model-index"][0]["results"][0]["metrics"]}
    auc = card().version.evaluations["holdout"].metrics["roc_auc"]
    assert metrics["roc_auc"]["value"] == auc.value
    assert metrics["roc_auc"]["args"]["high"] == auc.interval.high


def rounded(value: Any) -> Any:
    """The value with its numbers to nine digits: sums differ in the last ones between machines."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def test_hub_reads_every_metric_out_of_it() -> None:
    """tests/oracle/hub.py let huggingface_hub read this very front matter: `make oracle` after it changes."""
    assert rounded(matter(hub_card(card()))) == rounded(HUB["front_matter"])
    measured = card().version.evaluations["holdout"].metrics
    read = {one["metric_type"]: one["metric_value"] for one in HUB["results"]}
    assert rounded(read) == rounded({name: one.value for name, one in measured.items()})
    assert {one["dataset_name"] for one in HUB["results"]} == {"holdout-2026-q1.csv"}
    assert {one["task_type"] for one in HUB["results"]} == {"tabular-classification"}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_hostile_text_stays_in_its_place_in_the_front_matter(attack: str) -> None:
    made = hostile(lambda path: f"{attack} {path}")
    found = matter(hub_card(made))
    assert found == front_matter(made)
    assert set(found) <= set(front_matter(card()))


_TEXT = some.text(max_size=12)
_VALUE = some.recursive(
    some.one_of(
        _TEXT, some.booleans(), some.integers(-(2**53), 2**53), some.floats(allow_nan=False, allow_infinity=False)
    ),
    lambda inner: some.one_of(some.lists(inner, max_size=3), some.dictionaries(_TEXT, inner, max_size=3)),
    max_leaves=8,
)


@settings(max_examples=60)
@given(some.dictionaries(_TEXT, _VALUE, max_size=4))
def test_any_value_comes_back_from_yaml_as_it_was(value: dict[str, Any]) -> None:
    assert (yaml.safe_load(dumped(value)) or {}) == value


@pytest.mark.parametrize("word", "no NO 1 1.0 1e3 null ~ 2026-01-01 0x1f 1:30 = << .inf y".split())
def test_words_that_yaml_takes_for_something_else_stay_words(word: str) -> None:
    assert yaml.safe_load(dumped({word: word, "list": [word]})) == {word: word, "list": [word]}
