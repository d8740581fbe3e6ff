"""Checklists: what a policy wants gone through, and the answers of people, bound to the content they looked at."""

from collections.abc import Sequence
from datetime import datetime

from google.protobuf.message import Message

from kernel.errors import Denied, NotAllowedNow, NotFound, invalid_field
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import governance_events_pb2 as facts
from modelog.registry.v1.types_pb2 import (
    CHECKLIST_RESULT_DONE,
    CHECKLIST_RESULT_NOT_APPLICABLE,
    CHECKLIST_RESULT_UNSPECIFIED,
    ChecklistAnswer,
    ChecklistItem,
    ChecklistResult,
    Policy,
    Project,
    TransitionRule,
    Version,
)
from services.registry.domain.access import NOWHERE, Access
from services.registry.domain.policy import governs, model_of
from services.registry.domain.requests import movable

# Of a version: what policies of former times asked stays with it, so this is more than one policy can ask.
_MOST_ANSWERS = 512


def answer_checklist(
    version: Version,
    project: Project,
    everywhere: Project = NOWHERE,
    *,
    item: str,
    result: ChecklistResult,
    comment: str,
    evidence: Sequence[str],
    actors: Sequence[str],
    now: datetime,
) -> facts.ChecklistAnswered | None:
    """`actors`: who answers, then for whom."""
    movable(version, project)
    wanted = item_of(project.policy, version, item)
    access = Access(project, everywhere, now)
    given = ChecklistAnswer(
        result=result,
        comment=comment,
        evidence=evidence,
        answered_by=actors[0],
        on_behalf_of=actors[1:],
        content_revision=version.content_revision,
        text=wanted.text,
    )
    _check_shown(wanted, given)
    _check_answering(version, wanted, actors, access)
    if item in version.checklist:
        if _same(version.checklist[item], given):
            return None
    elif len(version.checklist) >= _MOST_ANSWERS:
        raise NotAllowedNow("TOO_MANY_ANSWERS", f"{version.name} has {_MOST_ANSWERS} answers; register it anew")
    return facts.ChecklistAnswered(
        item=item,
        result=result,
        comment=comment,
        evidence=evidence,
        text=wanted.text,
        content_revision=version.content_revision,
        policy_revision=project.revision,
    )


def item_of(policy: Policy, version: Version, item: str) -> ChecklistItem:
    """The item in whatever rule governs the version's model; NotFound, naming those that are there."""
    items = items_of([rule for rule in policy.rules if governs(rule, model_of(version))])
    wanted = items.get(item)
    if wanted is None:
        known = ", ".join(items) or "it has no checklist"
        raise NotFound("ITEM_NOT_FOUND", f"the policy asks nothing called {item!r} of {version.name}: {known}")
    return wanted


def items_of(rules: Sequence[TransitionRule]) -> dict[str, ChecklistItem]:
    """Every item of the rules, each once; `check_policy` has seen to it that equal ids mean equal items."""
    return {item.id: item for rule in rules for item in rule.checklist}


def why_unanswered(item: ChecklistItem, version: Version, access: Access) -> str:
    """Why an item's answer does not count, in a sentence; empty when it does."""
    if item.id not in version.checklist:
        return "nobody has answered it"
    answer = version.checklist[item.id]
    answering = [answer.answered_by, *answer.on_behalf_of]
    if answer.content_revision != version.content_revision:
        return f"it was answered for content {answer.content_revision}, but the content changed in {_now(version)}"
    if answer.text != item.text:
        return "it was answered when it asked something else"
    if item.evidence_required and answer.result == CHECKLIST_RESULT_DONE and not answer.evidence:
        return "it was answered without evidence"
    if item.role and not all(access.holds(one, item.role, model_of(version)) for one in answering):
        return f"{answer.answered_by} does not hold {item.role}"
    if item.not_by_makers and not access.people(answering).isdisjoint(access.people(version.makers)):
        return f"{answer.answered_by}, or who owns it, made the version"
    return ""


def _now(version: Version) -> str:
    return f"generation {version.content_revision}"


def _check_shown(item: ChecklistItem, given: ChecklistAnswer) -> None:
    if given.result == CHECKLIST_RESULT_UNSPECIFIED:
        raise invalid_field("result", "say whether it is done or not applicable", "NO_RESULT")
    if given.result == CHECKLIST_RESULT_NOT_APPLICABLE and not given.comment.strip():
        raise invalid_field("comment", f"say why {item.id} does not concern this version", "NO_REASON")
    if given.result == CHECKLIST_RESULT_DONE and item.evidence_required and not given.evidence:
        raise invalid_field("evidence", f"{item.id} wants the address of something that shows it", "NO_EVIDENCE")


def _check_answering(version: Version, item: ChecklistItem, actors: Sequence[str], access: Access) -> None:
    without = next((one for one in actors if item.role and not access.holds(one, item.role, model_of(version))), "")
    if without:
        raise Denied(
            "ROLE_REQUIRED",
            f"{item.id} is answered by holders of {item.role}, and {without} was not granted it",
            metadata={"role": item.role, "principal": without},
        )
    makers = access.people(version.makers)
    involved = next((one for one in actors if not access.people([one]).isdisjoint(makers)), "")
    if item.not_by_makers and involved:
        raise Denied(
            "SEPARATION_OF_DUTIES",
            f"{involved}, or who owns it, made {version.name}; somebody else has to answer {item.id}",
            metadata={"principal": involved},
        )


def _same(known: ChecklistAnswer, given: ChecklistAnswer) -> bool:
    plain = ChecklistAnswer()
    plain.CopyFrom(known)
    plain.ClearField("answer_time")
    return plain == given


def evolve_checklist(version: Version, event: Message, envelope: Fact) -> bool:
    """Folds the event of this module; False for any other."""
    match event:
        case facts.ChecklistAnswered():
            answer = version.checklist[event.item]
            answer.Clear()
            answer.result, answer.comment, answer.text = event.result, event.comment, event.text
            answer.evidence.extend(event.evidence)
            answer.answered_by = envelope.actor.id
            answer.on_behalf_of.extend(one.id for one in envelope.on_behalf_of)
            answer.answer_time.CopyFrom(envelope.recorded_at)
            answer.content_revision = event.content_revision
        case _:
            return False
    return True
