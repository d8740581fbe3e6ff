"""Who was allowed what by whom, what was taken in emergencies, who was refused, and who read history."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from modelog.access.v1.types_pb2 import AccessEntry
from modelog.archive.v1.archive_service_pb2 import ListAccessRecordsRequest
from modelog.packs.charting import happened
from modelog.packs.listing import listed
from modelog.packs.parts import Chapter, Content, Sheet
from modelog.packs.reading import Reading
from modelog.packs.saying import choice, kind_of, span, time
from modelog.packs.scope import Selection
from modelog.pages.parts import Mark, Marks
from modelog.pages.words import count, word
from modelog.sdk.paging import pages

_GRANTS = "RoleGranted RoleProposed RoleProposalWithdrawn RoleRevoked RoleDefined RoleRemoved".split()
_EMERGENCIES = "EmergencyDeclared EmergencyReviewed".split()
_OTHERS = (
    "ServiceAccountRegistered ServiceAccountRemoved ReviewDelegated DelegationEnded TrustedKeyAdded TrustedKeyRevoked"
    " ProjectCreated"
).split()
_RECORDS = (
    *("position", "time", "who", "for", "verdict", "reason", "method", "permission", "resources", "client"),
    *("agent", "correlation"),
)
_MOST_MARKS = 12
_BESIDE_THE_LOG = (
    "These records are kept beside the log: each was written before its call was answered, but they are not in the"
    " signed tree, so no proof of them is in this folder. They are what the archive held when the pack was made."
)


def access_audit(reading: Reading, projects: Sequence[str], start: datetime, end: datetime) -> Content:
    """Of these projects, or the whole installation when none is named; from `start` up to and not including `end`."""
    found = reading.projects(projects)
    names = [one.name for one in found]
    kinds = (*_GRANTS, *_EMERGENCIES, *_OTHERS)
    selection = Selection(names, kinds, start=time(_stamp(start)), end=time(_stamp(end)))
    entries = selection.of(reading.facts(selection))
    records = _records(reading, names if projects else [""], start, end)
    refused = [one for one in records if choice(one.record, "verdict") == "refused"]
    read = [one for one in records if one.HasField("record") and choice(one.record, "verdict") == "allowed"]
    where = ", ".join(projects) or "the whole installation"
    emergencies = [entry for entry in entries if kind_of(entry) in _EMERGENCIES]
    charts = [happened("Changes of access", {"changes": entries}, start.timestamp(), end.timestamp())]
    return Content(
        kind="access",
        subject=projects[0] if len(projects) == 1 else "projects/-",
        revision=reading.revision,
        title="Access audit",
        subtitle=f"{where}, {span(start, end)}",
        summary="Who held which role in the end and by whose grant, how that changed in the period, which roles were"
        " taken in emergencies, who was refused, and who read history.",
        facts=[
            ("Changes", count(len(entries))),
            ("Emergencies", count(sum(kind_of(one) == "EmergencyDeclared" for one in entries))),
            ("Refused calls", count(len(refused))),
            ("Readings of history", count(len(read))),
        ],
        chapters=[
            Chapter("At a glance", charts=[*charts, *_counted(refused, read)]),
            Chapter("Who held which role in the end", sheets=[_roles(found)]),
            Chapter("Granted and revoked", sheets=[listed("grants", "", entries, _GRANTS)]),
            Chapter("Emergencies", sheets=[listed("emergencies", "", emergencies)]),
            Chapter("Accounts, delegations and keys", sheets=[listed("accounts", "", entries, _OTHERS)]),
            Chapter("Who was refused", _BESIDE_THE_LOG, sheets=[Sheet("refused", "", _RECORDS, _rows(refused))]),
            Chapter("Who read history", _BESIDE_THE_LOG, sheets=[Sheet("reads", "", _RECORDS, _rows(read), True)]),
            Chapter("What is missing or unreadable in these records", sheets=[_gaps(records)]),
        ],
        selection=selection,
        entries=entries,
        states={"projects": found, "access-records": records},
        parameters={"from": selection.start, "to": selection.end, "projects": ", ".join(projects) or "all"},
    )


def _records(reading: Reading, parents: Sequence[str], start: datetime, end: datetime) -> list[AccessEntry]:
    """Oldest first; once each, though a call may name several projects."""
    found: dict[int, AccessEntry] = {}
    for parent in parents:
        request = ListAccessRecordsRequest(parent=parent, from_time=_stamp(start), to_time=_stamp(end), ascending=True)
        found |= {one.position: one for one in pages(reading.client.archive.ListAccessRecords, request)}
    return [found[position] for position in sorted(found)]


def _rows(entries: Sequence[AccessEntry]) -> list[list[str]]:
    return [
        [
            str(one.position),
            time(one.record.recorded_at),
            one.record.principal.id or "unknown",
            ", ".join(each.id for each in one.record.on_behalf_of),
            choice(one.record, "verdict"),
            one.record.reason,
            one.record.method,
            one.record.permission,
            ", ".join(one.record.resources),
            one.record.client_address,
            one.record.client_agent,
            one.record.correlation_id,
        ]
        for one in entries
    ]


def _gaps(entries: Sequence[AccessEntry]) -> Sheet:
    rows = []
    for one in entries:
        if one.missing:
            rows.append([str(one.position), one.service, f"{one.missing} records were taken out of the stream"])
        elif not one.HasField("record"):
            rows.append([str(one.position), one.service, f"unreadable, {len(one.unreadable)} bytes"])
    return Sheet("gaps", "", ("position", "service", "what"), rows)


def _roles(projects: Sequence[Any]) -> Sheet:
    head = ("project", "principal", "role", "model", "granted by", "confirmed by", "granted", "until", "emergency")
    rows = [
        [
            project.name,
            one.principal,
            one.role,
            one.model,
            one.granted_by,
            one.confirmed_by,
            time(one.grant_time),
            time(one.expire_time),
            str(one.emergency or ""),
        ]
        for project in projects
        for one in project.roles
    ]
    return Sheet("roles", "", head, rows)


def _counted(refused: Sequence[AccessEntry], read: Sequence[AccessEntry]) -> list[Marks]:
    reasons = Counter(word(one.record.reason, "") for one in refused)
    readers = Counter(one.record.principal.id or "unknown" for one in read)
    made = []
    for title, counts in (("Refused, by reason", reasons), ("History was read by", readers)):
        most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_MARKS]
        marks = [Mark(label, float(number)) for label, number in most]
        made += [Marks(title, marks, "calls", from_zero=True)] if marks else []
    return made


def _stamp(moment: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made
