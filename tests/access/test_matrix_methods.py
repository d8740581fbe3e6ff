"""Every method x every role x own and other projects x what is referred to: allowed exactly where roles say so."""

from collections import Counter
from datetime import timedelta

import pytest

from access.matrix import ANYBODY, BESIDES, PERMISSIONS, READING, ROLES
from kernel.errors import Denied
from kernel.identity import Method, Permit
from tests.access.grounds import (
    ADA,
    EVERYWHERE,
    NOW,
    OTHER,
    OWN,
    authority,
    bound,
    caller,
    project,
)
from tests.access.methods import methods, names_a_target, references, request_of

METHODS = methods()
MODEL = f"{OWN}/models/fraud"
# The design's table, row by row: who may and nobody else. It is written down here a second time on purpose.
DESIGN = {
    "registry.models.create": "author importer",
    "state.resources.list": "auditor",
    "state.changes.list": "auditor",
    "registry.versions.register": "author importer",
    "registry.evaluations.record": "author importer validator",
    "registry.history.import": "importer",
    "registry.transitions.request": "author",
    "registry.transitions.withdraw": "author",
    "registry.reviews.submit": "validator approver",
    "registry.reviews.delegate": "validator approver",
    "registry.findings.raise": "validator approver",
    "registry.findings.resolve": "author validator approver",
    "registry.findings.confirm": "validator approver",
    "registry.findings.accept": "validator approver",
    "registry.findings.reopen": "validator approver",
    "registry.checklists.answer": "author validator approver",
    "registry.versions.restore": "archivist",
    "deployment.rollouts.request": "author deployer operator",
    "deployment.rollouts.rollback": "deployer operator",
    "deployment.rollouts.pause": "deployer operator",
    "monitoring.monitors.update": "validator operator",
    "monitoring.alerts.resolve": "validator operator",
    "registry.versions.retire": "archivist",
    "archive.holds.release": "archivist",
    "archive.retentions.set": "archivist",
    "archive.retentions.remove": "archivist",
    "archive.history.get": "archivist auditor subscriber",
    "archive.facts.read": "auditor subscriber",
    "archive.subscriptions.consume": "subscriber",
    "archive.bundles.export": "auditor",
    "archive.proofs.get": "auditor",
    "archive.access.list": "auditor",
    "registry.roles.grant": "admin",
    "registry.roles.revoke": "admin",
    "registry.projects.set_policy": "admin",
    "registry.projects.create": "admin",
    "registry.trusted_keys.add": "admin",
    "registry.trusted_keys.revoke": "admin",
    "registry.provenance.record": "author",
    "deployment.environments.define": "admin",
    "deployment.rollouts.approve": "approver",
    "deployment.freezes.lift": "operator admin",
}
cases: Counter[str] = Counter()


async def outcome(of: object, method: Method, request: object, *, by: tuple[str, ...] = (ADA,)) -> Permit | str:
    """The permit, or the reason for which there is none."""
    cases["all"] += 1
    try:
        permit: Permit = await of.authorize(caller(*by), method, request, {})  # type: ignore[attr-defined]
    except Denied as denied:
        return denied.reason
    return permit


def allows(role: str, method: Method) -> bool:
    return method.permission in ANYBODY or method.permission in ROLES.get(role, ())


def test_the_matrix_has_every_permission_of_a_method_and_no_other() -> None:
    assert {method.permission for method in METHODS} | BESIDES == PERMISSIONS
    assert set(READING.values()) <= PERMISSIONS


@pytest.mark.parametrize("permission", DESIGN)
def test_the_matrix_is_the_designs(permission: str) -> None:
    assert sorted(DESIGN[permission].split()) == sorted(role for role, may in ROLES.items() if permission in may)


@pytest.mark.parametrize("role", [*ROLES, "nothing"])
async def test_a_role_allows_its_methods_in_its_own_project_and_in_no_other(role: str) -> None:
    here = authority(project(OWN, bound(role)), project(OTHER, bound(role, principal="users/eve")))
    for method in METHODS:
        expected = allows(role, method) and (names_a_target(method) or method.permission in ANYBODY)
        assert isinstance(await outcome(here, method, request_of(method, OWN)), Permit) == expected, method.path
        elsewhere = await outcome(here, method, request_of(method, OTHER))
        assert isinstance(elsewhere, Permit) == (method.permission in ANYBODY), method.path
        absent = await outcome(here, method, request_of(method, "projects/absent"))
        # What does not exist and what is not shown are told apart by nobody.
        assert absent == elsewhere or method.permission in ANYBODY, method.path


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_in_all_projects_allows_its_methods_everywhere(role: str) -> None:
    everywhere = authority(project(EVERYWHERE, bound(role)), project(OWN))
    for method in METHODS:
        for where in (OWN, OTHER):
            permit = await outcome(everywhere, method, request_of(method, where))
            assert isinstance(permit, Permit) == allows(role, method), method.path


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_limited_to_a_model_ends_at_the_model(role: str) -> None:
    limited = authority(project(OWN, bound(role, model=MODEL)))
    neighbour = authority(project(OWN, bound(role, model=f"{OWN}/models/frau")))
    for method in METHODS:
        request = request_of(method, OWN)
        text = str(request)
        inside = MODEL in text and allows(role, method)
        permit = await outcome(limited, method, request)
        assert isinstance(permit, Permit) == (inside or method.permission in ANYBODY), method.path
        permit = await outcome(neighbour, method, request)
        assert isinstance(permit, Permit) == (method.permission in ANYBODY), method.path


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_that_has_run_out_allows_nothing(role: str) -> None:
    past = authority(project(OWN, bound(role, until=NOW)))
    last = authority(project(OWN, bound(role, until=NOW + timedelta(microseconds=1))))
    for method in METHODS:
        request = request_of(method, OWN)
        refused = await outcome(past, method, request)
        if allows(role, method) and method.permission not in ANYBODY and names_a_target(method):
            assert refused == "GRANT_EXPIRED", method.path
            assert isinstance(await outcome(last, method, request), Permit)


@pytest.mark.parametrize("role", ROLES)
async def test_whoever_acts_for_somebody_may_do_no_more_than_either(role: str) -> None:
    bob = bound("viewer", principal="users/bob")
    both = authority(project(OWN, bound(role), bob))
    for method in METHODS:
        request = request_of(method, OWN)
        if not names_a_target(method):
            continue
        expected = allows(role, method) and allows("viewer", method)
        for by in ((ADA, "users/bob"), ("users/bob", ADA)):
            assert isinstance(await outcome(both, method, request, by=by), Permit) == expected, (method.path, by)


@pytest.mark.parametrize("role", ROLES)
async def test_what_a_request_refers_to_must_be_readable(role: str) -> None:
    """Also in the caller's own project: naming another project's resource is a way to read it."""
    blind = authority(project(OWN, bound(role)), project(OTHER))
    seeing = authority(project(OWN, bound(role)), project(OTHER, bound("viewer")))
    for method in METHODS:
        if not references(method) or not names_a_target(method):
            continue
        request = request_of(method, OWN, of_others=OTHER)
        assert not isinstance(await outcome(blind, method, request), Permit), method.path
        assert isinstance(await outcome(seeing, method, request), Permit) == allows(role, method), method.path


@pytest.mark.parametrize("account", ["ci", "gone"])
async def test_an_account_has_its_roles_only_while_it_is_registered(account: str) -> None:
    principal = f"serviceaccounts/{account}"
    state = project(OWN, *(bound(role, principal=principal) for role in ROLES), ci=ADA)
    of = authority(state)
    for method in METHODS:
        if method.permission in ANYBODY or not names_a_target(method):
            continue
        result = await outcome(of, method, request_of(method, OWN), by=(principal,))
        assert isinstance(result, Permit) if account == "ci" else result == "ACCOUNT_NOT_REGISTERED", method.path


async def test_an_administrator_by_configuration_has_that_role_everywhere() -> None:
    of = authority(administrators=(ADA,))
    for method in METHODS:
        permit = await outcome(of, method, request_of(method, OTHER))
        assert isinstance(permit, Permit) == allows("admin", method), method.path


async def test_a_permit_says_what_was_decided_on() -> None:
    of = authority(project(OWN, bound("viewer")), project(EVERYWHERE))
    (method,) = (one for one in METHODS if one.path.endswith("/GetVersion"))
    permit = await outcome(of, method, request_of(method, OWN))
    assert isinstance(permit, Permit)
    assert dict(permit.reads) == {OWN: 7, EVERYWHERE: 7}


def test_that_was_the_whole_cross_product() -> None:
    if cases["all"]:  # Nothing to count when this test runs alone.
        assert cases["all"] >= 4_000, cases
