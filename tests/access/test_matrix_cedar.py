"""The decision against Cedar's, which somebody else wrote: the whole cross product, and 100,000 random questions.

`make test` asks a quarter of the product, another one for each role, and the first 20,000; `make test-faults` the rest.
"""

import itertools
import random
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import cedarpy
import pytest

from access.authority import project_name
from access.decision import decide
from access.fold import EVERYWHERE
from access.grants import Grants, by_configuration, grants_of
from access.matrix import ANYBODY, PERMISSIONS, ROLES
from modelog.access.v1.types_pb2 import KnownProject
from tests.access.grounds import NOW, bound, project

PEOPLE = ("users/ada", "users/bob", "services/portal", "serviceaccounts/ci", "serviceaccounts/etl")
PROJECTS = ("projects/risk", "projects/ris", "projects/oncology", EVERYWHERE)
RESOURCES = (
    "",
    *PROJECTS,
    *(f"{one}/models/fraud" for one in PROJECTS),
    *(f"{one}/models/fraud-2/versions/1" for one in PROJECTS),
    *(f"{one}/models/fraud/versions/3" for one in PROJECTS),
    *(f"{one}/endpoints/eu/rollouts/7" for one in PROJECTS),
)
OWN_ROLE = "scout"
TIMES = (None, NOW, NOW + timedelta(seconds=1), NOW - timedelta(days=1))
QUESTIONS = 500  # In each world.
_PARTS = 8


class Question(NamedTuple):
    principal: str
    permission: str
    resource: str


def ours(states: Sequence[KnownProject], question: Question) -> bool:
    known = {state.name: grants_of(state.name, state) for state in states}
    where = project_name(question.resource)
    places = [where, EVERYWHERE] if where and where != EVERYWHERE else [EVERYWHERE]
    among: list[Grants] = [known[one] for one in places if one in known]
    among.append(by_configuration(()))
    return decide(question.principal, question.permission, question.resource, among, NOW).allowed


def cedars(states: Sequence[KnownProject], questions: Iterable[Question]) -> list[bool]:
    policies = cedarpy.PolicySet.from_str("\n".join(_policies(states)))
    requests = [
        {
            "principal": f'Principal::"{one.principal}"',
            "action": f'Action::"{one.permission}"',
            "resource": f'Resource::"{one.resource or "installation"}"',
            "context": {"now": int(NOW.timestamp() * 1_000_000)},
        }
        for one in questions
    ]
    results = cedarpy.is_authorized_batch(requests, policies, _entities(states))
    assert not any(result.diagnostics.errors for result in results)
    return [bool(result.allowed) for result in results]


def _policies(states: Iterable[KnownProject]) -> Iterable[str]:
    for state in states:
        for one in state.roles:
            until = (
                f" when {{ context.now < {one.expire_time.ToMicroseconds()} }}" if one.HasField("expire_time") else ""
            )
            group = one.role if one.role in ROLES else f"{state.name}:{one.role}"
            yield (
                f'permit(principal == Principal::"{one.principal}", action in Action::"role:{group}",'
                f' resource in Resource::"{one.model or state.name}"){until};'
            )
    registered = {EVERYWHERE: {account for one in states if one.name == EVERYWHERE for account in one.service_accounts}}
    for state in states:
        registered[state.name] = set(state.service_accounts) | registered[EVERYWHERE]
    for account in (one for one in PEOPLE if one.startswith("serviceaccounts/")):
        if account in registered[EVERYWHERE]:
            continue
        places = [f'resource in Resource::"{name}"' for name in registered if account in registered[name]]
        # `projects/all` holds everything for the sake of grants; an account of one project is at home only there.
        known = " || ".join(places) or "false"
        yield (
            f'forbid(principal == Principal::"{account}", action, resource) unless {{ {known} '
            f'|| action in Action::"anybody" }};'
        )
    yield 'permit(principal, action in Action::"anybody", resource);'


def _entities(states: Iterable[KnownProject]) -> list[dict[str, Any]]:
    groups: dict[str, list[str]] = {permission: [] for permission in PERMISSIONS}
    for role, permissions in ROLES.items():
        for permission in permissions:
            groups[permission].append(f"role:{role}")
    for state in states:
        for role, definition in state.role_definitions.items():
            for permission in definition.permissions:
                groups[permission].append(f"role:{state.name}:{role}")
    for permission in ANYBODY:
        groups[permission].append("anybody")
    actions = [_entity("Action", name, "Action", parents) for name, parents in groups.items()]
    names = set(itertools.chain.from_iterable(map(_with_parents, RESOURCES[1:])))
    resources = [_entity("Resource", name, "Resource", [_parent(name)] if _parent(name) else []) for name in names]
    return [*actions, *resources, _entity("Resource", "installation", "Resource", [EVERYWHERE])]


def _entity(kind: str, name: str, parent_kind: str, parents: Iterable[str]) -> dict[str, Any]:
    return {
        "uid": {"type": kind, "id": name},
        "attrs": {},
        "parents": [{"type": parent_kind, "id": one} for one in parents],
    }


def _with_parents(name: str) -> Iterable[str]:
    while name:
        yield name
        name = _parent(name) if name != EVERYWHERE else ""


def _parent(name: str) -> str:
    above = "/".join(name.split("/")[:-2])
    return above or ("" if name == EVERYWHERE else EVERYWHERE)


@pytest.mark.parametrize("part", [0, *(pytest.param(one, marks=pytest.mark.long) for one in range(1, _PARTS))])
def test_the_whole_cross_product_agrees(part: int) -> None:
    for where in ("projects/risk", EVERYWHERE):
        for at, role in enumerate(ROLES):
            states = [project(where, bound(role), ci="users/ada")]
            people = ("users/ada", "users/bob", "serviceaccounts/ci")
            questions = [Question(*one) for one in itertools.product(people, sorted(PERMISSIONS), RESOURCES)]
            questions = questions[(at + part) % _PARTS :: _PARTS]
            assert cedars(states, questions) == [ours(states, one) for one in questions], (where, role)


@pytest.mark.parametrize("seeds", [range(16), pytest.param(range(16, 200), marks=pytest.mark.long)], ids=str)
def test_random_questions_in_random_worlds_agree(seeds: range) -> None:
    allowed = asked = 0
    for seed in seeds:
        chance = random.Random(seed)
        states = [_world(chance, name) for name in PROJECTS if chance.random() < 0.8]
        permissions = sorted(PERMISSIONS)
        questions = [
            Question(chance.choice(PEOPLE), chance.choice(permissions), chance.choice(RESOURCES))
            for _ in range(QUESTIONS)
        ]
        answers = [ours(states, one) for one in questions]
        assert cedars(states, questions) == answers, f"seed {seed}"
        allowed, asked = allowed + sum(answers), asked + len(answers)
    assert 0.1 < allowed / asked < 0.9, "questions that are nearly all answered alike prove little"


def _world(chance: random.Random, name: str) -> KnownProject:
    state = project(name)
    for _ in range(chance.randrange(8)):
        role = chance.choice([*ROLES, OWN_ROLE])
        model = chance.choice(["", "", f"{name}/models/fraud"])
        state.roles.append(bound(role, principal=chance.choice(PEOPLE), model=model, until=chance.choice(TIMES)))
    state.role_definitions[OWN_ROLE].permissions.extend(chance.sample(sorted(PERMISSIONS - ANYBODY), 12))
    for account in ("ci", "etl"):
        if chance.random() < 0.7:
            state.service_accounts[f"serviceaccounts/{account}"].owner = "users/ada"
    return state
