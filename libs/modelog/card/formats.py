"""The formats of a card by name."""

from collections.abc import Callable, Mapping

from modelog.card.cyclonedx import bill_of_materials
from modelog.card.draft import draft
from modelog.card.exact import as_json
from modelog.card.huggingface import hub_card
from modelog.card.markdown import document
from modelog.card.page import page
from modelog.registry.v1.cards_pb2 import ModelCard

FORMATS: Mapping[str, Callable[[ModelCard], str]] = {
    "markdown": document,
    "html": page,
    "json": as_json,
    "draft": draft,
    "huggingface": hub_card,
    "cyclonedx": bill_of_materials,
}


def render(card: ModelCard, name: str) -> str:
    """The card as text; ValueError for a format that is none of FORMATS."""
    if name not in FORMATS:
        raise ValueError(f"{name!r} is none of {', '.join(FORMATS)}")
    return FORMATS[name](card)
