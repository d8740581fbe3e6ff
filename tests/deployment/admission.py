"""Environments with terms, and rollouts asked for in them."""

from datetime import datetime
from functools import partial

from modelog.access.v1.types_pb2 import KnownProject
from modelog.deployment.v1 import environments_pb2 as terms
from modelog.deployment.v1 import types_pb2 as types
from services.deployment.domain import rollout as verbs
from services.deployment.domain.admission import Around
from services.deployment.domain.environment import define
from services.deployment.domain.promotion import Served
from services.deployment.domain.quota import Room
from testkit.scenario import Life, Outcome, life
from tests.deployment.build import (
    PROJECT,
    RECREATE,
    endpoint,
    rollout,
    version,
)
from tests.deployment.test_freeze import at

NOBODY = KnownProject()
BOT = f"serviceaccounts/{PROJECT}/bot"
MONDAY, SATURDAY = at("2026-03-02T12:00"), at("2026-03-07T12:00")
STAGING = f"{PROJECT}/environments/staging"
DEFINE = partial(define, drivers={"process": {}})


def quota(**most: int) -> terms.Quota:
    return terms.Quota(**{f"most_{name}": value for name, value in most.items()})


def ask(
    place: Life,
    *,
    on: Life | None = None,
    strategy: types.Strategy = RECREATE,
    now: datetime = MONDAY,
    others: Room = Room(),  # noqa: B008 - It never changes.
    served: Served = Served(),  # noqa: B008
    by: str = "users/dora",
) -> Outcome:
    on = on or endpoint()
    decide = partial(verbs.request, strategy=strategy, by=[by], around=Around(now, others, served))
    empty = life(rollout().kind, rollout().name)
    return empty.when(decide, on.state, place.state, version().state, NOBODY, NOBODY, types.Rollout())
