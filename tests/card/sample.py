"""Cards to render: one that says everything, one that says nothing, and one whose every text is hostile.

`python -m tests.card.sample FILE` writes the full one as a hub reads it, for `make oracle`.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from modelog.card import render
from modelog.evaluate import Choices, Observations, measure
from modelog.registry.v1 import types_pb2 as types
from modelog.registry.v1.cards_pb2 import CardCompleteness, ModelCard
from tests.evaluate.rows import binary

NAME = "projects/risk/models/fraud/versions/3"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def moment(hours: int = 0) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(START + timedelta(hours=hours))
    return stamp


@cache
def evaluation() -> types.Evaluation:
    rows = binary(rows=1500)
    told = measure(
        Observations(
            labels=rows["label"],
            scores=rows["score"],
            slices={"region": rows["region"], "age": rows["age"]},
            sensitive={"sex": rows["sex"]},
        ),
        Choices(minimum_rows=20),
    )
    told.data_set.CopyFrom(
        types.DataSet(
            name="holdout-2026-q1.csv", sha256="cd" * 32, rows=1500, motivation="Newest quarter, not trained on."
        )
    )
    told.method = "modelog evaluate: label fraud, score p; intervals at 0.95"
    told.record_time.CopyFrom(moment(4))
    told.recorded_by = "users/cat"
    return told


_PROPERTIES: dict[str, Any] = {"explainer": {"text": "SHAP"}, "features": {"number": 41}, "new": {"flag": False}}
DOCUMENTATION = types.Documentation(
    summary="Flags card payments that are probably fraudulent, for an analyst to look at before they settle.",
    architecture="Gradient-boosted trees over 41 features of a payment and of the account's last 30 days.",
    intended_use="Ranking of card payments for manual review.\n\n- payments up to 10,000 EUR\n- accounts in the EU",
    intended_users="Analysts of the fraud desk. Decisions stay with them.",
    out_of_scope="Blocking payments without a person. Judging creditworthiness. Business accounts.",
    factors="Region, age and sex of the account holder; the kind of merchant.",
    measures="ROC AUC, because analysts work from the top of the list; recall at 0.5, which is the desk's capacity.",
    assumptions="Labels arrive within 45 days and are right in 98 % of cases.",
    limitations="Misses fraud that builds up over months. Weak on merchants seen fewer than 50 times.",
    ethical_considerations="False alarms delay payments of people who did nothing wrong; women are flagged less often.",
    caveats="Scores of versions cannot be compared with each other.",
    recommendations="Look at the rates by group every month; lower the threshold for region us.",
    data_sources="Core banking, card payments 2025.",
    data_biases="Accounts opened in branches are over-represented: 61 % against 40 % of all.",
    data_preprocessing="Duplicates and chargebacks without a reason removed; amounts in EUR at the day's rate.",
    evaluation_data="All payments of January to March 2026, labelled by the desk.",
    quantitative_analyses="Ranks well in both regions. Recall is lower for women.",
    resources={
        "hardware": "32 CPU cores",
        "hours": 1.5,
        "location": "eu-central",
        "energy_kwh": 0.9,
        "emissions_kg": 0.35,
    },
    properties={name: types.Property(**value) for name, value in _PROPERTIES.items()},
)


def version(**more: Any) -> types.Version:
    verdict = types.Verdict(
        from_stage="development", to_stage="testing", transition=1, policy_revision=7, approvers=["users/ben"],
        decide_time=moment(20), decided_by="users/ada",
        gates=[{"name": "auc", "kind": 3, "result": 1, "condition": "evaluations['holdout'].metrics.roc_auc >= 0.8"}],
    )  # fmt: skip
    review = types.Review(
        kind=types.REVIEW_KIND_FAIRNESS,
        decision=types.REVIEW_DECISION_APPROVE,
        reviewer="users/dan",
        review_time=moment(30),
        comment="Rates are close enough.",
    )
    finding = types.Finding(
        number=1,
        severity=types.SEVERITY_HIGH,
        title="Recall of women",
        state=types.FINDING_STATE_ANSWERED,
        raised_by="users/dan",
        raise_time=moment(26),
        answer=types.FindingAnswer(text="threshold lowered", answered_by="users/ada", content_revision=4),
    )
    done = types.ChecklistAnswer(result=types.CHECKLIST_RESULT_DONE, evidence=["doc 7"], answered_by="users/eve")
    fields: dict[str, Any] = {
        "name": NAME, "generation": 9, "revision": 41, "create_time": moment(), "update_time": moment(30),
        "artifact": {"uri": "s3://models/fraud/3.onnx", "sha256": "ab" * 32, "size_bytes": 1_834_112, "format": "onnx"},
        "signature": {"inputs": [{"name": "amount", "type": 5}, {"name": "merchant", "type": 6}],
                      "outputs": [{"name": "p", "type": 5}]},
        "source": {"repository": "https://git.example.org/risk/fraud", "commit": "0f" * 20, "path": "train.py"},
        "training_data": [{"name": "payments-2025", "uri": "s3://data/2025", "sha256": "ef" * 32, "rows": 812_300,
                           "sources": ["core banking", "card payments"], "collection": "Exported monthly.",
                           "biases": "Few accounts under 21.", "personal_data": "age, sex"}],
        "hyperparameters": {"depth": "6", "eta": "0.05", "rounds": "400"}, "framework": "xgboost 3.1",
        "parent_version": "projects/risk/models/fraud/versions/2", "documentation": DOCUMENTATION,
        "evaluations": {"holdout": evaluation()}, "tags": {"run": "1187"}, "stage": "testing", "phase": 2,
        "verdicts": [verdict], "findings": [finding], "checklist": {"dpia": done}, "author": "users/ada",
        "transition": {"number": 2, "from_stage": "testing", "to_stage": "staging", "state": 1,
                       "requested_by": "users/ada", "request_time": moment(28), "reviews": [review]},
    }  # fmt: skip
    return types.Version(**(fields | more))


def model() -> types.Model:
    details = types.ModelDetails(
        title="Card fraud", description="Scores card payments.", task="binary-classification", owners=["users/ada"],
        links=[{"title": "Runbook", "uri": "https://wiki.example.org/fraud"}], license="Apache-2.0", languages=["en"],
        citation="@misc{fraud, title={Card fraud}, year={2026}}", contact="mailto:fraud-desk@example.org",
        developed_by="Risk analytics",
    )  # fmt: skip
    return types.Model(
        name="projects/risk/models/fraud",
        details=details,
        tags={"team": "risk"},
        aliases={"challenger": types.Alias(version=NAME)},
    )


def card(**more: Any) -> ModelCard:
    """Everything a card can say."""
    made = version(**more)
    return ModelCard(
        name=NAME,
        generation=made.generation,
        revision=made.revision,
        create_time=made.create_time,
        update_time=made.update_time,
        as_of_revision=44,
        model=model(),
        version=made,
        completeness=CardCompleteness(
            share=21 / 23,
            version_share=0.9,
            required_fields=[f"documentation.f{number}" for number in range(21)]
            + ["training_data.collection", "documentation.caveats"],
            missing=["training_data.collection", "documentation.caveats"],
        ),
        ancestors=[
            {"version": "projects/risk/models/fraud/versions/2", "artifact_sha256": "12" * 32, "stage": "retired"}
        ],
    )


def empty() -> ModelCard:
    return ModelCard(name=NAME, as_of_revision=1)


def hostile(text: Callable[[str], str]) -> ModelCard:
    """The full card with every text replaced: text(path) for the field at that path; keys of maps as well."""
    made = card()
    _replace(made, "", text)
    return made


def _replace(message: Any, path: str, text: Callable[[str], str]) -> None:
    for field in message.DESCRIPTOR.fields:
        here = f"{path}.{field.name}" if path else field.name
        value = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _replace_map(value, field, here, text)
        elif field.is_repeated:
            if field.type == FieldDescriptor.TYPE_STRING:
                kept = [text(f"{here}.{place}") for place in range(max(1, len(value)))]
                message.ClearField(field.name)
                getattr(message, field.name).extend(kept)
            elif field.message_type is not None:
                for place, one in enumerate(value):
                    _replace(one, f"{here}.{place}", text)
        elif field.message_type is not None:
            if message.HasField(field.name) and field.message_type.name != "Timestamp":
                _replace(value, here, text)
        elif field.type == FieldDescriptor.TYPE_STRING and field.containing_oneof is None:
            setattr(message, field.name, text(here))


def _replace_map(value: Any, field: FieldDescriptor, here: str, text: Callable[[str], str]) -> None:
    assert field.message_type is not None
    inner = field.message_type.fields_by_name["value"]
    for key in list(value):
        other = text(f"{here}.{key}")
        if inner.message_type is None:
            kept = value[key]
            del value[key]
            value[other] = text(f"{here}.{key}.value") if inner.type == FieldDescriptor.TYPE_STRING else kept
        else:
            kept = type(value[key])()
            kept.CopyFrom(value[key])
            _replace(kept, f"{here}.{key}", text)
            del value[key]
            value[other].CopyFrom(kept)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render(card(), "huggingface"), encoding="utf-8")
