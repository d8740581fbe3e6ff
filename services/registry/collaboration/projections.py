"""Tables of who takes part in what, and of what may wait for somebody."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from kernel.folding import Folded
from kernel.names import project_of
from modelog.registry.v1 import collaboration_events_pb2 as talk
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import governance_events_pb2 as governance
from modelog.registry.v1.types_pb2 import (
    FINDING_STATE_ANSWERED,
    FINDING_STATE_OPEN,
    TRANSITION_STATE_APPROVED,
    TRANSITION_STATE_OPEN,
    TRANSITION_STATE_REJECTED,
    TRANSITION_STATE_VOID,
)
from services.registry.domain import MODEL, THREAD, VERSION
from services.registry.domain.lifecycle import LAST_PHASES

TRANSITION, DEPRECATED, FINDING = "transition", "deprecated", "finding"
_UNDONE = (
    TRANSITION_STATE_OPEN,
    TRANSITION_STATE_APPROVED,
    TRANSITION_STATE_REJECTED,
    TRANSITION_STATE_VOID,
)
PROJECTED = (
    facts.ModelCreated,
    facts.ModelDescribed,
    facts.VersionRegistered,
    facts.VersionDescribed,
    facts.EvaluationRecorded,
    facts.TransitionRequested,
    facts.ReviewSubmitted,
    facts.TransitionDecided,
    facts.StageChanged,
    facts.VersionDeprecated,
    facts.VersionRetired,
    facts.VersionArchived,
    governance.VersionRestored,
    governance.FindingRaised,
    governance.FindingResolved,
    governance.FindingConfirmed,
    governance.FindingAccepted,
    governance.FindingReopened,
    talk.ThreadOpened,
    talk.CommentPosted,
    talk.CommentEdited,
)


async def project(connection: Any, folded: Sequence[Folded]) -> None:
    """Writes who took part by any fact of the batch, and what the newest state of each resource says."""
    concerned = [one for one in folded if one.kind in (MODEL, VERSION, THREAD)]
    if not concerned:
        return
    newest = {one.state.name: one for one in concerned}
    await _parts(connection, concerned, newest)
    await _waiting(connection, [one for one in newest.values() if one.kind is VERSION])
    await _places(connection, [one for one in newest.values() if one.kind is THREAD])


async def _parts(connection: Any, concerned: Sequence[Folded], newest: dict[str, Folded]) -> None:
    """Owners come and go with the newest state; makers, reviewers and participants stay for ever."""
    models = [name for name, one in newest.items() if one.kind is MODEL]
    if models:
        await connection.execute("delete from part where resource = any($1::text[])", models)
    rows: dict[tuple[str, str, str, str], tuple[int, datetime]] = {}
    for one in concerned:
        if one.kind is not MODEL or one is newest[one.state.name]:
            since = (one.revision, one.fact.recorded_at.ToDatetime(tzinfo=UTC))
            for who, why in _who(one):
                rows.setdefault((one.state.name, who, why, project_of(one.state.name)), since)
    if rows:
        await connection.execute(
            "insert into part (resource, principal, why, project, revision, recorded_at) select * from unnest("
            "$1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[]) on conflict do nothing",
            *map(list, zip(*((*key, *since) for key, since in rows.items()), strict=True)),
        )


def _who(one: Folded) -> Iterator[tuple[str, str]]:
    """Who takes part, and as what, each once."""
    if one.kind is MODEL:
        yield from ((owner, "owner") for owner in one.state.details.owners)
    elif one.kind is VERSION:
        yield from ((maker, "maker") for maker in one.state.makers)
        asked = one.state.transition
        reviewers = [asked.requested_by, *(review.reviewer for review in asked.reviews)]
        yield from ((who, "reviewer") for who in dict.fromkeys(reviewers) if who)
    else:
        yield from ((who, "participant") for who in one.state.participants)


async def _waiting(connection: Any, versions: Sequence[Folded]) -> None:
    if not versions:
        return
    # A version that has just begun has no rows yet.
    names = [one.state.name for one in versions if one.state.generation > 1]
    if names:
        await connection.execute("delete from waiting where version = any($1::text[])", names)
    rows = [
        (one.state.name, reason, project_of(one.state.name), one.revision)
        for one in versions
        for reason in reasons(one.state)
    ]
    if rows:
        await connection.execute(
            "insert into waiting (version, reason, project, revision)"
            " select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[])",
            *map(list, zip(*rows, strict=True)),
        )


def reasons(version: Any) -> Iterator[str]:
    """Why somebody may have to do something about a version."""
    if version.phase in LAST_PHASES:
        return
    if version.transition.state in _UNDONE:
        yield TRANSITION
    if version.HasField("deprecation"):
        yield DEPRECATED
    if any(one.state in (FINDING_STATE_OPEN, FINDING_STATE_ANSWERED) for one in version.findings):
        yield FINDING


async def _places(connection: Any, threads: Sequence[Folded]) -> None:
    if not threads:
        return
    rows = [
        (name, name.rpartition("/threads/")[0], project_of(name), one.revision)
        for one in threads
        for name in [one.state.name]
    ]
    await connection.execute(
        "insert into thread_place (thread, model, project, revision)"
        " select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[])"
        " on conflict (thread) do update set revision = excluded.revision",
        *map(list, zip(*rows, strict=True)),
    )
