"""Model cards over the wire: one revision for all that a card is made of."""

import asyncio

from tests.registry.build import MODEL_NAME, PROJECT_NAME
from tests.registry.office import Office, refused


async def test_a_card_is_read_as_of_any_revision_and_says_what_is_missing(registry: Office) -> None:
    await registry.found_model()
    first = await registry.register(documentation={"summary": "s"})
    name = await registry.register(parent_version=first, documentation={"summary": "s"})
    early = await registry.GetModelCard(name=name, read={"at_least": 4})
    requirements = {"required_fields": ["model.license", "documentation.limitations"]}
    await registry.SetPolicy(name=PROJECT_NAME, policy={"card": requirements})
    await registry.UpdateModel(name=MODEL_NAME, details={"license": "MIT"}, update_mask={"paths": ["license"]})
    said = await registry.UpdateVersion(
        name=name,
        documentation={"limitations": "few", "resources": {"hours": 3}},
        update_mask={"paths": ["limitations", "resources"]},
    )
    card = await registry.GetModelCard(name=name, read={"at_least": said.revision})
    assert (card.as_of_revision, card.revision, card.completeness.share) == (said.revision, said.revision, 1)
    assert card.version.documentation.resources.hours == 3
    assert [(one.version, one.stage) for one in card.ancestors] == [(first, "development")]
    before = await registry.GetModelCard(name=name, read={"as_of_revision": said.revision - 1})
    assert list(before.completeness.missing) == ["documentation.limitations"]
    again = await registry.GetModelCard(name=name, read={"as_of_revision": early.as_of_revision})
    assert again == early
    assert "model.license" in early.completeness.missing
    by_time = await registry.GetModelCard(name=name, read={"as_of_time": card.version.update_time})
    assert by_time == card
    missing = registry.GetModelCard(name=f"{MODEL_NAME}/versions/9")
    assert (await refused(missing))[:2] == ("NOT_FOUND", "VERSION_NOT_FOUND")


async def test_cards_read_while_facts_arrive_never_mix_two_moments(registry: Office) -> None:
    """Model and version carry the same number, written one after the other: a card shows n and n, or n and n - 1."""
    await registry.found_model()
    name = await registry.register()

    enough = asyncio.Event()

    async def write() -> None:
        number = 0
        while not enough.is_set():
            text, number = str(number), number + 1
            details, documentation = {"description": text}, {"summary": text}
            await registry.UpdateModel(name=MODEL_NAME, details=details, update_mask={"paths": ["description"]})
            await registry.UpdateVersion(name=name, documentation=documentation, update_mask={"paths": ["summary"]})

    writing = asyncio.create_task(write())
    try:
        for _ in range(15):
            card = await registry.GetModelCard(name=name, read={"at_least": 3})
            model, version = int(card.model.details.description or -1), int(card.version.documentation.summary or -1)
            assert model - version in (0, 1), card
            repeated = await registry.GetModelCard(name=name, read={"as_of_revision": card.as_of_revision})
            assert repeated == card
    finally:
        enough.set()
        await writing


async def test_a_contradiction_is_refused_at_the_door_by_the_field(registry: Office) -> None:
    await registry.found_model()
    name = await registry.register()
    wrong = {"metrics": {"auc": {"value": 0.9, "interval": {"low": 0, "high": 0.5, "level": 0.95}}}}
    told = await refused(registry.RecordEvaluation(name=name, evaluation_id="holdout", evaluation=wrong))
    assert told == ("INVALID_ARGUMENT", "INVALID_REQUEST", ['evaluation.metrics["auc"].interval'])
