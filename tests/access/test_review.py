"""The report on a project's access: who holds what, and what a reviewer should look at."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from access.fold import KNOWN_PROJECT
from access.grants import by_configuration
from access.matrix import ROLES
from access.review import review
from modelog.access.v1.types_pb2 import KnownProject
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1.access_pb2 import AccessReview
from testkit.scenario import START, Life, life

ADA, BEN, CAT, BOT = "users/ada", "users/ben", "users/cat", "serviceaccounts/bot"
SOON = START + timedelta(days=1)


def risk(*events: Any, administrators: tuple[str, ...] = (ADA, BEN)) -> Life:
    created = facts.ProjectCreated(administrators=administrators)
    return life(KNOWN_PROJECT, "projects/risk").given(created, *events)


def report(project: Life, now: datetime = SOON, above: KnownProject | None = None, *configured: str) -> AccessReview:
    return review(project.state, above or KnownProject(), by_configuration(configured), now)


def findings(made: AccessReview) -> list[tuple[str, str]]:
    return [(one.reason, one.principal) for one in made.findings]


def granted(principal: str, role: str, **more: Any) -> facts.RoleGranted:
    return facts.RoleGranted(principal=principal, role=role, **more)


def owned(owner: str) -> facts.ServiceAccountRegistered:
    return facts.ServiceAccountRegistered(account=BOT, owner=owner)


def test_each_principal_is_listed_with_what_it_holds_since_when_and_by_whom() -> None:
    made = report(risk(owned(BEN), granted(CAT, "validator"), granted(BOT, "author")))
    assert [one.principal for one in made.principals] == [BOT, ADA, BEN, CAT]
    by_principal = {one.principal: one for one in made.principals}
    (binding,) = by_principal[CAT].bindings
    assert (binding.role, binding.granted_by) == ("validator", ADA)
    assert binding.grant_time.ToDatetime(UTC) == START + timedelta(hours=3)
    assert list(by_principal[CAT].permissions) == sorted(ROLES["validator"])
    assert by_principal[BOT].owner == BEN
    assert made.time.ToDatetime(UTC) == SOON
    assert made.revision == 4
    assert not made.findings


def test_who_holds_roles_in_all_projects_is_listed_apart() -> None:
    above = life(KNOWN_PROJECT, "projects/all").given(facts.ProjectCreated(administrators=[CAT])).state
    made = report(risk(), SOON, above, "users/root")
    assert {one.principal: one.bindings[0].granted_by for one in made.everywhere} == {
        CAT: ADA,
        "users/root": "configuration",
    }
    itself = review(above, above, by_configuration([]), SOON)
    assert ([one.principal for one in itself.principals], len(itself.everywhere)) == ([CAT], 0)


@pytest.mark.parametrize(
    ("events", "finding"),
    [
        ([granted(CAT, "author"), granted(CAT, "approver")], ("AUTHOR_AND_APPROVER", CAT)),
        ([granted(CAT, "deployer"), granted(CAT, "approver")], ("APPROVER_AND_DEPLOYER", CAT)),
        ([owned(CAT), granted(BOT, "author"), granted(CAT, "approver")], ("AUTHOR_AND_APPROVER", CAT)),
        ([owned(CAT), granted(BOT, "author")], ("OWNER_WITHOUT_ROLE", BOT)),
        ([granted(CAT, "author", expire_time=START)], ("EXPIRED", CAT)),
        ([facts.RoleRevoked(principal=BEN, role="admin")], ("ADMINISTRATORS_MISSING", ADA)),
        ([facts.EmergencyDeclared(number=1, role="operator", expire_time=START)], ("EMERGENCY_NOT_REVIEWED", ADA)),
    ],
)
def test_what_should_be_looked_at_is_found(events: list[Any], finding: tuple[str, str]) -> None:
    assert finding in findings(report(risk(*events)))


def test_a_project_without_administrators_is_found() -> None:
    assert ("ADMINISTRATORS_MISSING", "") in findings(report(risk(administrators=())))
    assert "ADMINISTRATORS_MISSING" not in dict(findings(report(risk(administrators=(ADA,)), SOON, None, "users/root")))


def test_what_is_old_is_found() -> None:
    project = risk(facts.RoleProposed(principal=CAT, role="approver"), granted(CAT, "author"))
    assert findings(report(project)) == []
    late = report(project, START + timedelta(days=366))
    assert findings(late) == [
        ("GRANTED_LONG_AGO", ADA), ("GRANTED_LONG_AGO", BEN), ("GRANTED_LONG_AGO", CAT), ("PROPOSED_LONG_AGO", CAT),
    ]  # fmt: skip
    assert len(late.role_proposals) == 1


def test_a_removed_account_and_a_reviewed_emergency_are_no_findings() -> None:
    project = risk(owned(CAT), facts.ServiceAccountRemoved(account=BOT))
    project.given(facts.EmergencyDeclared(number=1, role="operator", expire_time=START), by=CAT)
    project.given(facts.EmergencyReviewed(number=1, justified=True), by=BEN)
    made = report(project)
    assert findings(made) == []
    assert (len(made.emergencies), made.service_accounts[BOT].HasField("remove_time")) == (0, True)
