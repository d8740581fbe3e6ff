"""Approvals of a rollout: who gives them, who must not, and what comes of waiting."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from access.fold import KNOWN_PROJECT
from modelog.access.v1.types_pb2 import KnownProject
from modelog.deployment.v1 import environment_events_pb2 as waiting
from modelog.registry.v1 import events_pb2 as registry
from services.deployment.domain.approval import approve, expire, reject
from services.deployment.domain.states import FAILED, PENDING
from testkit.scenario import START, Life, life
from tests.deployment.build import PROJECT, requested, rollout, started, version_name

NOBODY = KnownProject()
BOT = f"serviceaccounts/{PROJECT}/bot"


def pending(needed: int = 2, **more: Any) -> Life:
    """Asked for by dora at 13:00 of 1 March, the hour after START."""
    event = requested(
        approvals_needed=needed, approvals_expire_after=Duration(seconds=7200), deploying_people=["users/dora"], **more
    )
    return rollout(event)


def approved(by: str, have: int, needed: int = 2) -> waiting.RolloutApproved:
    return waiting.RolloutApproved(people=[by], approvals=have, approvals_needed=needed)


def test_two_people_who_did_not_ask_for_it_let_it_start() -> None:
    now = START + timedelta(minutes=5)
    say = partial(approve, now=now)
    asked = pending()
    assert (asked.state.state, asked.state.cause) == (PENDING, "waits for 2 more approvals")
    asked.when(say, NOBODY, NOBODY, by=["users/rita"]).then(approved("users/rita", 1))
    once = pending().given(approved("users/rita", 1), by="users/rita")
    assert once.state.cause == "waits for 1 more approval"
    once.when(say, NOBODY, NOBODY, by=["users/rita"]).then_nothing()
    twice = once.given(approved("users/omar", 2), by="users/omar")
    assert ([one.approved_by for one in twice.state.approvals], twice.state.cause) == (["users/rita", "users/omar"], "")
    twice.when(say, NOBODY, NOBODY, by=["users/zoe"]).then_refused("ROLLOUT_NOT_WAITING")


def owned(owner: str) -> KnownProject:
    known = life(KNOWN_PROJECT, PROJECT).given(
        registry.ProjectCreated(), registry.ServiceAccountRegistered(account=BOT, owner=owner)
    )
    state: KnownProject = known.state
    return state


@pytest.mark.parametrize(
    ("by", "owner", "reason"),
    [
        (["users/dora"], "users/otto", "APPROVER_ASKED_FOR_IT"),
        ([BOT], "users/dora", "APPROVER_ASKED_FOR_IT"),
        (["users/zoe", "users/dora"], "users/otto", "APPROVER_ASKED_FOR_IT"),
        ([BOT], "users/rita", "APPROVED_ALREADY"),
        (["services/ci"], "users/otto", "APPROVER_IS_NO_PERSON"),
    ],
)
def test_people_are_compared_whatever_accounts_they_use(by: list[str], owner: str, reason: str) -> None:
    asked = pending().given(approved("users/rita", 1), by="users/rita")
    asked.when(approve, owned(owner), NOBODY, by=by, now=START).then_refused(reason)


def test_nobody_waits_for_ever() -> None:
    late = START + timedelta(hours=3)
    asked = pending()
    asked.when(approve, NOBODY, NOBODY, by=["users/rita"], now=late).then_refused("APPROVAL_EXPIRED")
    asked.when(expire, now=late - timedelta(seconds=1)).then_refused("ROLLOUT_NOT_EXPIRED")
    event = asked.when(expire, now=late).event
    assert isinstance(event, waiting.RolloutExpired)
    over = pending().given(event).state
    assert (over.state, over.cause) == (FAILED, "0 of 2 approvals came in time; request it anew")


def test_one_person_is_enough_to_say_no() -> None:
    rejected = waiting.RolloutRejected(version=version_name(2), cause="no")
    pending().when(reject, cause="no").then(rejected)
    over = pending().given(rejected)
    assert (over.state.state, over.state.cause) == (FAILED, "no")
    over.when(reject, cause="no").then_nothing()
    rollout(requested(), started()).when(reject, cause="no").then_refused("ROLLOUT_NOT_WAITING")
    rollout(requested()).when(reject, cause="no").then_refused("ROLLOUT_NOT_WAITING")
    rollout().when(reject, cause="no").then_refused("ROLLOUT_NOT_FOUND")
