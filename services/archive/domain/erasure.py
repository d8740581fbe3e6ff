"""An erasure of free text: what is to go, by which right, and what went."""

from collections.abc import Sequence

from google.protobuf.message import Message

from access.fold import EVERYWHERE
from kernel.errors import AlreadyExists, UnknownFact, invalid_field
from modelog.archive.v1 import erasure_events_pb2 as facts
from modelog.archive.v1 import erasures_pb2 as types
from modelog.log.v1.fact_pb2 import Fact
from services.archive.domain.hold import check_resource


def erase(erasure: types.Erasure, *, project: str, scope: types.ErasureScope, authority: str) -> Message:
    """Texts of the project's facts go; with `projects/all`, what one author wrote in any."""
    if erasure.name:
        raise AlreadyExists("ERASURE_EXISTS", f"{erasure.name} exists; what came later takes another one")
    what = scope.WhichOneof("what")
    if what is None:
        raise invalid_field("scope", "name an author, a resource or facts", "REQUIRED")
    if project == EVERYWHERE and what != "author":
        raise invalid_field("scope", f"in {EVERYWHERE} name an author; else ask in the project", "OTHER_PROJECT")
    if what == "resource":
        check_resource(scope.resource, project, "scope.resource")
    return facts.ErasureRequested(scope=scope, authority=authority)


def record(
    erasure: types.Erasure, *, portion: int, erased: Sequence[int], held: Sequence[int], upto: int, complete: bool
) -> Message | None:
    """What went, portion after portion; one that is recorded already is none."""
    if erasure.state == types.ERASURE_STATE_ERASED or portion <= erasure.portion_count:
        return None
    return facts.TextsErased(
        revisions=erased, held_revisions=held, portion=portion, complete=complete, upto_revision=upto
    )


def evolve_erasure(erasure: types.Erasure, fact: Message, envelope: Fact) -> None:
    match fact:
        case facts.ErasureRequested():
            erasure.scope.CopyFrom(fact.scope)
            erasure.authority, erasure.requested_by = fact.authority, envelope.actor.id
            erasure.state = types.ERASURE_STATE_ERASING
        case facts.TextsErased():
            erasure.erased_count += len(fact.revisions)
            erasure.held_count += len(fact.held_revisions)
            erasure.portion_count, erasure.upto_revision = fact.portion, fact.upto_revision
            if fact.complete:
                erasure.state = types.ERASURE_STATE_ERASED
                erasure.complete_time.CopyFrom(envelope.recorded_at)
        case _:
            raise UnknownFact(fact)
