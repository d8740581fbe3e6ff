"""A card as a page: see `modelog.pages.page`."""

from modelog.card.content import content
from modelog.pages.page import page as page_of
from modelog.registry.v1.cards_pb2 import ModelCard


def page(card: ModelCard) -> str:
    return page_of(content(card))
