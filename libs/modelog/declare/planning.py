"""What applying documents would do, found out by reading what is there and by asking whether it would be accepted."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelog.declare.difference import Change, differences, wanted
from modelog.declare.documents import Document
from modelog.declare.kinds import KINDS, Kind, fields_of, fixed_of, request_of, resource_of
from modelog.declare.problems import Problem, Problems
from modelog.declare.reading import Place
from modelog.declare.steps import Step, steps

if TYPE_CHECKING:
    from modelog.sdk import SyncClient

# "registry.GetModel" and its request to its reply.
Call = Callable[[str, Any], Any]

CREATE, UPDATE, UNCHANGED = "create", "update", "unchanged"


@dataclass(frozen=True)
class Planned:
    """One resource. changes: what differs, value by value. notes: what could not be found out beforehand."""

    document: Document
    present: Any
    changes: Sequence[Change]
    steps: Sequence[Step]
    notes: Sequence[str] = field(default=())

    @property
    def action(self) -> str:
        if not self.steps:
            return UNCHANGED
        return UPDATE if self.present.name else CREATE


@dataclass(frozen=True)
class Plan:
    """All of them, in the order in which they are written."""

    resources: Sequence[Planned]

    @property
    def changed(self) -> list[Planned]:
        return [one for one in self.resources if one.steps]

    def count(self, action: str) -> int:
        return sum(one.action == action for one in self.resources)


def caller(client: "SyncClient") -> Call:
    """Calls of a client by name; for `make_plan` and the others."""

    def call(method: str, request: Any) -> Any:
        service, _, name = method.partition(".")
        return getattr(getattr(client, service), name)(request)

    return call


def make_plan(documents: Sequence[Document], call: Call, *, check: bool = True) -> Plan:
    """The plan. Problems, with lines, for what a service says it would refuse; `check=False` does not ask."""
    resources: list[Planned] = []
    problems: list[Problem] = []
    pending: set[str] = set()
    for document in documents:
        planned = _planned(document, call)
        problems += _fixed(planned)
        if check and planned.steps:
            planned, wrong = _checked(planned, call, pending)
            problems += wrong
        if planned.action == CREATE:
            pending.add(document.name)
        resources.append(planned)
    if problems:
        raise Problems(problems)
    return Plan(resources)


def _planned(document: Document, call: Call) -> Planned:
    present = read(document.kind, document.name, call)
    goal = wanted(document, present)
    changes = differences(present, goal, fields_of(document.kind))
    if present.name and not changes:
        return Planned(document, present, (), ())
    return Planned(document, present, changes, steps(document, present, goal, changes))


def read(kind: Kind, name: str, call: Call) -> Any:
    """The resource as it is; an empty message where there is none."""
    from modelog.sdk.errors import NotFound

    request = request_of(kind.service, f"Get{kind.word}")
    request.name = name
    try:
        return call(f"{kind.service}.Get{kind.word}", request)
    except NotFound:
        return resource_of(kind)()


def _fixed(planned: Planned) -> list[Problem]:
    """What a document wants to change that never changes, or of a resource whose name is used up."""
    document, present = planned.document, planned.present
    if not present.name:
        return []
    if _is_gone(present):
        return [document.problem((), f"{document.name} was removed, and names are not used again; take another")]
    fixed = fixed_of(document.kind)
    return [
        document.problem(
            change.place, f"{change.path} is {change.before} for good; declare another {document.kind.word.lower()}"
        )
        for change in planned.changes
        if change.place[0] in fixed
    ]


def _checked(planned: Planned, call: Call, pending: Collection[str]) -> tuple[Planned, list[Problem]]:
    """Asks whether each step would be accepted, as far as that does not hang on steps before it."""
    from modelog.sdk.errors import Denied

    document = planned.document
    if any(document.name.startswith(f"{one}/") for one in pending):
        return planned, []
    for step in _independent(planned):
        try:
            wrong = _asked(planned, step, call, pending)
        except Denied as error:
            note = f"not checked, for you may not write it: {error.message}"
            return Planned(document, planned.present, planned.changes, planned.steps, [note]), []
        if wrong:
            return planned, wrong
    return planned, []


def _independent(planned: Planned) -> list[Step]:
    """Steps that can be judged by what is there: a policy and a lifecycle that change together fit each other."""
    if not planned.present.name:
        return list(planned.steps[:1])
    together = {step.name for step in planned.steps} >= {"SetPolicy", "SetLifecycle"}
    roles = any(step.name == "DefineRole" for step in planned.steps)
    hanging = {"SetPolicy", "SetLifecycle"} if together else {"SetPolicy"} if roles else set()
    return [step for step in planned.steps if step.name not in hanging]


def _asked(planned: Planned, step: Step, call: Call, pending: Collection[str]) -> list[Problem]:
    """What a service would refuse about one step. That it has just been changed or created is found out by applying."""
    from modelog.sdk.errors import AlreadyExists, Conflict, Invalid, NotAllowedNow, NotFound

    document = planned.document
    try:
        call(step.method, dry(step, planned.present))
    except NotFound as error:
        return [] if pending else [document.problem(step.place, error.message)]
    except NotAllowedNow as error:
        return [document.problem(step.place, error.message)]
    except Invalid as error:
        return refused(document, step, error) or [document.problem(step.place, error.message)]
    except (Conflict, AlreadyExists):
        pass
    return []


def dry(step: Step, present: Any) -> Any:
    """The request of a step that only asks."""
    request = type(step.request)()
    request.CopyFrom(step.request)
    request.validate_only = True
    if present.name and "etag" in request.DESCRIPTOR.fields_by_name:
        request.etag = str(present.generation)
    return request


def refused(document: Document, step: Step, error: Any) -> list[Problem]:
    """Wrong fields of a request as lines of the file that said them."""
    return [document.problem(_place(step, one.field), f"{one.field}: {one.description}") for one in error.violations]


def _place(step: Step, path: str) -> Place:
    """The place in the document that a field of a request was taken from."""
    parts: list[str | int] = []
    for word, inside in re.findall(r'([^.\[\]]+)|\["?([^"\]]*)"?\]', path):
        parts.append(int(inside) if inside.isdigit() else inside or word)
    if step.below and parts[:1] == [step.below]:
        return (*step.place, *parts[1:])
    return tuple(parts)


def unmanaged(documents: Sequence[Document], call: Call) -> list[tuple[str, str]]:
    """Kind and name of what lives in the projects that the documents speak of and is in none of them."""
    declared = {(one.kind.word, one.name) for one in documents}
    projects = dict.fromkeys("/".join(one.name.split("/")[:2]) for one in documents)
    return [
        (kind.word, one.name)
        for project in projects
        for kind in KINDS[1:]
        for one in children(kind, project, call)
        if (kind.word, one.name) not in declared
    ]


def children(kind: Kind, project: str, call: Call) -> list[Any]:
    """The resources of a kind that live in a project, without those that were removed."""
    from modelog.sdk.errors import NotFound

    method = f"List{kind.word}s"
    request = request_of(kind.service, method)
    request.parent, request.page_size = project, 500
    found: list[Any] = []
    while True:
        try:
            reply = call(f"{kind.service}.{method}", request)
        except NotFound:
            return found
        found += getattr(reply, kind.collection)
        if not reply.next_page_token:
            return [one for one in found if not _is_gone(one)]
        request.page_token = reply.next_page_token


def _is_gone(resource: Any) -> bool:
    """Whether it was removed, or is being so (REMOVING and REMOVED of EndpointState)."""
    return bool(
        getattr(resource, "removed", False) or (resource.DESCRIPTOR.name == "Endpoint" and resource.state in (2, 3))
    )
