"""What waits for one person in a project. Everything looked at comes in as arguments."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from access.people import people
from modelog.registry.v1.collaboration_pb2 import (
    TASK_KIND_DEPRECATED,
    TASK_KIND_EMERGENCY,
    TASK_KIND_FINDING,
    TASK_KIND_FINDING_ANSWERED,
    TASK_KIND_MENTIONED,
    TASK_KIND_REQUEST_APPROVED,
    TASK_KIND_REQUEST_REJECTED,
    TASK_KIND_REQUEST_VOID,
    TASK_KIND_REVIEW_WANTED,
    TASK_KIND_ROLE_PROPOSED,
    TASK_KIND_UNREAD,
    Task,
    TaskKind,
    Thread,
    WatchSetting,
)
from modelog.registry.v1.types_pb2 import (
    FINDING_STATE_ANSWERED,
    FINDING_STATE_OPEN,
    TRANSITION_STATE_APPROVED,
    TRANSITION_STATE_OPEN,
    TRANSITION_STATE_REJECTED,
    TRANSITION_STATE_VOID,
    Project,
    Version,
)
from services.registry.domain.access import Access
from services.registry.domain.approvals import barred_from
from services.registry.domain.policy import rules_for

_REVIEW = "registry.reviews.submit"
_CONFIRM = "registry.findings.confirm"
_GRANT = "registry.roles.grant"
_REVIEW_EMERGENCY = "registry.emergencies.review"
_ANSWERS: Mapping[int, tuple[TaskKind, str]] = {
    TRANSITION_STATE_APPROVED: (TASK_KIND_REQUEST_APPROVED, "your request to move it to {to} is approved: move it"),
    TRANSITION_STATE_REJECTED: (TASK_KIND_REQUEST_REJECTED, "your request to move it to {to} was rejected"),
    TRANSITION_STATE_VOID: (TASK_KIND_REQUEST_VOID, "your request to move it to {to} is void: {why}"),
}
May = Callable[[str, str], bool]


class Person(NamedTuple):
    """Who asks. names: the principal and its teams. parts: what they take part in, and as what. may(permission, name).

    markers: the last comment they have read, by thread. settings: what they watch or do not want to hear of.
    """

    principal: str
    names: Collection[str]
    parts: Mapping[str, set[str]]
    may: May
    markers: Mapping[str, int]
    settings: Mapping[str, WatchSetting]

    def owns(self, model: str) -> bool:
        return "owner" in self.parts.get(model, ())


def tasks_of(person: Person, access: Access, versions: Sequence[Version], threads: Sequence[Thread]) -> list[Task]:
    """Newest first."""
    found: list[Task] = []
    for version in versions:
        found += _of_transition(person, access, version)
        found += _of_findings(person, access, version)
        found += _of_deprecation(person, version)
    for thread in threads:
        found += _of_thread(person, thread)
    found += _of_proposals(person, access, access.project)
    found += _of_emergencies(person, access, access.project)
    return sorted(found, key=lambda one: (-one.time.ToMicroseconds(), one.resource, one.kind))


def _task(kind: TaskKind, resource: str, explanation: str, time: Timestamp, command: str) -> Task:
    return Task(kind=kind, resource=resource, explanation=explanation, time=time, command=command)


def _short(name: str) -> str:
    return "/".join(name.split("/")[1::2])


def _of_transition(person: Person, access: Access, version: Version) -> Iterator[Task]:
    asked, short = version.transition, _short(version.name)
    if asked.state == TRANSITION_STATE_OPEN and _may_review(person, access, version):
        yield _task(
            TASK_KIND_REVIEW_WANTED,
            version.name,
            f"{asked.requested_by} asks for a review of its move to {asked.to_stage}",
            asked.request_time,
            f"modelog reviews submit {short} --kind general --approve",
        )
    elif asked.state in _ANSWERS and asked.requested_by == person.principal:
        kind, text = _ANSWERS[asked.state]
        move = asked.state == TRANSITION_STATE_APPROVED
        yield _task(
            kind,
            version.name,
            text.format(to=asked.to_stage, why=asked.void_reason),
            version.update_time,
            f"modelog stages {'change' if move else 'request'} {short} {asked.to_stage}",
        )


def _may_review(person: Person, access: Access, version: Version) -> bool:
    """Whether a review by this person would be taken, and was not given yet."""
    asked = version.transition
    behind = access.people([person.principal])
    rules = rules_for(access.project.policy, version, asked.to_stage)
    if not behind.isdisjoint(barred_from(version, rules, access)):
        return False
    if any(not behind.isdisjoint(access.people([one.reviewer])) for one in asked.reviews):
        return False
    return person.may(_REVIEW, version.name)


def _of_findings(person: Person, access: Access, version: Version) -> Iterator[Task]:
    """An open one waits for who made the version, an answered one for somebody else who may confirm it."""
    made = not access.people([person.principal]).isdisjoint(access.people(version.makers))
    for one in version.findings:
        command = f"modelog findings {{}} {_short(version.name)} {one.number}"
        if one.state == FINDING_STATE_OPEN and made:
            text = f"{one.raised_by} found: {one.title}"
            yield _task(TASK_KIND_FINDING, version.name, text, one.raise_time, command.format("resolve"))
        elif one.state == FINDING_STATE_ANSWERED and not made and person.may(_CONFIRM, version.name):
            answer = one.answer
            if access.people([person.principal]).isdisjoint(answer.people):
                text = f"{answer.answered_by} says that it is resolved: {one.title}"
                command = command.format("confirm")
                yield _task(TASK_KIND_FINDING_ANSWERED, version.name, text, answer.answer_time, command)


def _of_deprecation(person: Person, version: Version) -> Iterator[Task]:
    model = version.name.rpartition("/versions/")[0]
    if not version.HasField("deprecation") or not (person.owns(model) or person.principal in version.makers):
        return
    said = version.deprecation
    until = f" on {said.sunset_time.ToDatetime():%Y-%m-%d}" if said.HasField("sunset_time") else ""
    instead = f"; use {said.successor}" if said.successor else ""
    yield _task(
        TASK_KIND_DEPRECATED,
        version.name,
        f"it is deprecated and to be retired{until}{instead}",
        said.deprecate_time,
        f"modelog versions retire {_short(version.name)}",
    )


def _of_thread(person: Person, thread: Thread) -> Iterator[Task]:
    """One task for what somebody else has said since this person read, or said something themselves."""
    read = person.markers.get(thread.name, 0)
    own = [one.number for one in thread.comments if person.principal in (one.author, *one.on_behalf_of)]
    unread = [
        one
        for one in thread.comments
        if one.number > max([read, *own]) and not one.HasField("withdraw_time") and one.author != person.principal
    ]
    to_me = [one for one in unread if not set(one.mentions).isdisjoint(person.names)]
    if not unread or (not to_me and is_muted(person.settings, thread.target.name)):
        return
    last = (to_me or unread)[-1]
    kind = TASK_KIND_MENTIONED if to_me else TASK_KIND_UNREAD
    said = f"{last.author} speaks to you" if to_me else f"{len(unread)} unread, the last by {last.author}"
    command = f"modelog threads show {_short(thread.name)}"
    yield _task(kind, thread.name, f"{said}: {thread.title}", last.post_time, command)


def is_muted(settings: Mapping[str, WatchSetting], name: str) -> bool:
    """Whether the most particular setting for a resource says to hear nothing of it."""
    while name:
        if name in settings:
            return settings[name].muted
        name = "/".join(name.split("/")[:-2])
    return False


def _of_proposals(person: Person, access: Access, project: Project) -> Iterator[Task]:
    if not project.role_proposals or not person.may(_GRANT, project.name):
        return
    behind = access.people([person.principal])
    for one in project.role_proposals:
        involved = people([*one.proposers, one.proposed_by, one.principal], access.project, access.everywhere)
        if behind.isdisjoint(involved):
            yield _task(
                TASK_KIND_ROLE_PROPOSED,
                project.name,
                f"{one.proposed_by} proposes {one.role} for {one.principal}",
                one.propose_time,
                f"modelog roles grant {_short(project.name)} {one.principal} {one.role}",
            )


def _of_emergencies(person: Person, access: Access, project: Project) -> Iterator[Task]:
    unreviewed = [one for one in project.emergencies if not one.reviewed_by]
    if not unreviewed or not person.may(_REVIEW_EMERGENCY, project.name):
        return
    for one in unreviewed:
        if one.principal not in access.people([person.principal]):
            yield _task(
                TASK_KIND_EMERGENCY,
                project.name,
                f"{one.principal} took {one.role}: {one.reason}",
                one.start_time,
                f"modelog emergencies review {_short(project.name)} {one.number}",
            )
