"""Model cards: what one has to say, and how much of it is said.

The fields follow Mitchell et al., "Model Cards for Model Reporting" (2019), section by section, and what the cards of
model hubs have besides: license, citation, contact, resources.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from kernel.errors import invalid_field
from modelog.registry.v1.cards_pb2 import CardAncestor, CardCompleteness, ModelCard
from modelog.registry.v1.types_pb2 import Documentation, Evaluation, Model, ModelDetails, Policy, Version

MODEL = "model."

Said = Callable[[Model, Version], bool]


def _of_model(name: str) -> Said:
    return lambda model, _: _filled(getattr(model.details, name))


def _text(name: str) -> Said:
    return lambda _, version: _filled(getattr(version.documentation, name))


def _data(documentation: str, data_set: str) -> Said:
    """Of the training data: said of all of it together, or of every set."""

    def said(_model: Model, version: Version) -> bool:
        together = _filled(getattr(version.documentation, documentation))
        each = [_filled(getattr(one, data_set)) for one in version.training_data]
        return together or (bool(each) and all(each))

    return said


def _measured(told: Callable[[Evaluation], bool]) -> Said:
    """Of at least one evaluation."""
    return lambda _, version: any(told(one) for one in version.evaluations.values())


def _evaluation_data(_model: Model, version: Version) -> bool:
    named = [one.data_set.name or one.data_set.uri for one in version.evaluations.values()]
    return _filled(version.documentation.evaluation_data) or (bool(named) and all(named))


def _filled(value: object) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return bool(value.ListFields()) if hasattr(value, "ListFields") else bool(value)


_TEXTS = {
    one.name: _text(one.name)
    for one in Documentation.DESCRIPTOR.fields
    if one.name not in ("properties", "data_sources", "data_collection", "data_preprocessing", "data_biases")
}
# What a policy may require, by the name it is required under.
FIELDS: Mapping[str, Said] = {
    **{f"{MODEL}{one.name}": _of_model(one.name) for one in ModelDetails.DESCRIPTOR.fields},
    **{f"documentation.{name}": said for name, said in _TEXTS.items() if name != "evaluation_data"},
    "artifact.sha256": lambda _, version: _filled(version.artifact.sha256),
    "framework": lambda _, version: _filled(version.framework),
    "hyperparameters": lambda _, version: bool(version.hyperparameters),
    "signature": lambda _, version: bool(version.signature.inputs and version.signature.outputs),
    "source": lambda _, version: _filled(version.source.repository) and _filled(version.source.commit),
    "training_data": lambda _, version: bool(version.training_data),
    "training_data.sha256": lambda _, version: (
        bool(version.training_data) and all(one.sha256 for one in version.training_data)
    ),
    "training_data.sources": _data("data_sources", "sources"),
    "training_data.collection": _data("data_collection", "collection"),
    "training_data.preprocessing": _data("data_preprocessing", "preprocessing"),
    "training_data.biases": _data("data_biases", "biases"),
    "training_data.personal_data": lambda _, version: (
        bool(version.training_data) and all(one.personal_data.strip() for one in version.training_data)
    ),
    "evaluation_data": _evaluation_data,
    "evaluations": _measured(lambda one: bool(one.metrics)),
    "evaluations.intervals": _measured(lambda one: any(metric.HasField("interval") for metric in one.metrics.values())),
    "evaluations.slices": _measured(lambda one: bool(one.slices)),
    "evaluations.fairness": _measured(lambda one: bool(one.fairness)),
}
# What a card has to say where no policy speaks: at least one field of each section of Mitchell et al.
BUILT_IN = (
    "model.description",
    "model.owners",
    "model.license",
    "model.contact",
    "documentation.summary",
    "documentation.intended_use",
    "documentation.intended_users",
    "documentation.out_of_scope",
    "documentation.factors",
    "documentation.measures",
    "source",
    "training_data",
    "training_data.sources",
    "training_data.preprocessing",
    "training_data.biases",
    "evaluation_data",
    "evaluations",
    "evaluations.intervals",
    "evaluations.slices",
    "documentation.assumptions",
    "documentation.limitations",
    "documentation.ethical_considerations",
    "documentation.caveats",
)


def required_fields(policy: Policy) -> Sequence[str]:
    return tuple(policy.card.required_fields) or BUILT_IN


def check_card(policy: Policy) -> None:
    """Invalid, naming the field, unless a card can have it."""
    for index, name in enumerate(policy.card.required_fields):
        if name not in FIELDS:
            path = f"policy.card.required_fields[{index}]"
            raise invalid_field(path, f"{name!r} is no field of a card: {', '.join(FIELDS)}", "UNKNOWN_CARD_FIELD")


def missing_of(version: Version, policy: Policy) -> tuple[Sequence[str], Sequence[str]]:
    """What is required of the version itself, and what of it is not there. The model's part is not looked at."""
    required = [name for name in required_fields(policy) if not name.startswith(MODEL)]
    nobody = Model()
    return required, [name for name in required if not _said(name, nobody, version)]


def version_share(version: Version, policy: Policy) -> float:
    required, missing = missing_of(version, policy)
    return _share(required, missing)


def completeness(model: Model, version: Version, policy: Policy) -> CardCompleteness:
    required = required_fields(policy)
    missing = [name for name in required if not _said(name, model, version)]
    return CardCompleteness(
        share=_share(required, missing),
        version_share=version_share(version, policy),
        required_fields=required,
        missing=missing,
        by_policy=bool(policy.card.required_fields),
    )


def _said(name: str, model: Model, version: Version) -> bool:
    """A name that a later release required, and this one does not know, is not filled in."""
    return name in FIELDS and FIELDS[name](model, version)


def _share(required: Sequence[str], missing: Sequence[str]) -> float:
    return (len(required) - len(missing)) / len(required) if required else 1.0


def model_card(
    model: Model, version: Version, policy: Policy, *, ancestors: Iterable[Version], as_of_revision: int
) -> ModelCard:
    """The card of a version. All states are those of one revision."""
    card = ModelCard(
        name=version.name,
        generation=version.generation,
        revision=version.revision,
        create_time=version.create_time,
        update_time=version.update_time,
        as_of_revision=as_of_revision,
        model=model,
        version=version,
        completeness=completeness(model, version, policy),
        ancestors=[
            CardAncestor(version=one.name, artifact_sha256=one.artifact.sha256, stage=one.stage) for one in ancestors
        ],
    )
    if version.HasField("quarantine"):
        card.quarantine.CopyFrom(version.quarantine)
    return card
