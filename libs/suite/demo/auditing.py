"""Step 7: Eva believes nothing. She replays, asks, reads the past again, verifies offline and has all views rebuilt."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from modelog.deployment.v1 import deployment_service_pb2 as rpc
from modelog.deployment.v1 import events_pb2 as facts
from modelog.sdk import Client, Entry, pages
from suite.demo import entitling, evidence, intervals, judging, packing, rebuilding, states
from suite.demo.report import kind_of
from suite.demo.stage import Stage
from suite.demo.tidying import pause_monitors


async def play(stage: Stage) -> str:
    # Windows that are still open would be judged while views are compared, and add facts.
    await pause_monitors(stage.client, stage.by, stage.names.project)
    head = await states.head(stage.client)
    await stage.journal.reach(head)
    entries = await _replay(stage, head)
    await _served(stage)
    await _as_then(stage)
    await judging.play(stage)
    await entitling.play(stage)
    stage.report.log = await evidence.verify(stage, entries)
    await packing.play(stage)
    await stage.journal.close()
    await rebuilding.play(stage, head)
    stage.report.check("facts that the audit itself added", [], await _added(stage, head))
    return f"{len(entries)} facts were replayed, verified offline, and folded again into the same bytes"


async def _replay(stage: Stage, head: int) -> Sequence[Entry]:
    """The whole log in one streaming call, compared with its head, with itself, and with what was heard live."""
    stage.note("replaying the whole log")
    entries = [entry async for entry in stage.client.subscribe(to_revision=head, follow=False)]
    stage.report.check("facts in the replay against the head of the log", head, len(entries))
    holes = [at for at, entry in enumerate(entries, 1) if entry.revision != at]
    stage.report.check("revisions that are missing or out of order", [], holes)
    stage.report.check("resources whose generations do not follow each other", [], _gaps(entries))
    heard = {entry.revision: entry.payload for entry in stage.journal.entries}
    same = sum(heard.get(entry.revision) == entry.payload for entry in entries)
    stage.report.check("facts heard live that the replay repeats to the byte", len(heard), same)
    return entries


async def _added(stage: Stage, head: int) -> list[str]:
    """Kind and resource of what has been recorded behind `head`."""
    added = [entry async for entry in stage.client.subscribe(head + 1, follow=False)]
    return [f"{kind_of(entry)} of {entry.fact.resource if entry.fact else entry.subject}" for entry in added]


def _gaps(entries: Sequence[Entry]) -> list[str]:
    """Resources whose facts are not numbered 1..k in the order of the log; subjects of what cannot be read."""
    counted: Counter[str] = Counter()
    wrong = set()
    for entry in entries:
        resource = entry.fact.resource if entry.fact else entry.subject
        counted[resource] += 1
        if entry.fact is None or entry.fact.generation != counted[resource]:
            wrong.add(resource)
    return sorted(wrong)


async def _served(stage: Stage) -> None:
    """What served the clinic between the ends of step 3 and step 5, and who asked for it and approved it."""
    stage.note("asking what served, and who approved it")
    begin, end = stage.seen.revision, stage.report.steps[4]["facts"][-1]["revision"]
    request = rpc.ListServingIntervalsRequest(
        parent=stage.names.project,
        endpoint=stage.names.clinic,
        from_time=_time_of(stage, begin),
        to_time=_time_of(stage, end),
    )
    answered = [one async for one in pages(stage.client.deployment.ListServingIntervals, request)]
    shifts = stage.journal.every(facts.TrafficShifted, of=stage.names.clinic)
    expected, found = intervals.of_facts(shifts, begin=begin, end=end), intervals.of_service(answered)
    stage.report.check("what served between two moments, by the facts", _rows(expected), _rows(found))
    moments = {name: getattr(request, name).ToJsonString() for name in ("from_time", "to_time")}
    stage.report.served = {"endpoint": stage.names.clinic, **moments, "intervals": _rows(found)}


def _rows(several: Sequence[intervals.Interval]) -> list[dict[str, Any]]:
    return [one._asdict() for one in several]


def _time_of(stage: Stage, revision: int) -> Timestamp:
    fact = stage.journal.between(revision - 1, revision)[0].fact
    return fact.recorded_at if fact else Timestamp()


async def _as_then(stage: Stage) -> None:
    """What every service says today of the end of step 3, by revision and by time, against what it said then."""
    stage.note("reading the state as of step 3")
    told = stage.seen.states
    moments: dict[str, int | datetime] = {
        "revision": stage.seen.revision,
        "time": _time_of(stage, stage.seen.revision).ToDatetime(tzinfo=UTC),
    }
    for name, moment in moments.items():
        async with stage.client.as_of(moment) as then:
            read = await states.read(then, stage.names)
        stage.report.check(f"{len(told)} resources as of step 3, by {name}, to the byte", _digest(told), _digest(read))
    moved = await _moved(stage.client, stage)
    stage.report.check("resources that have changed since", "at least 3", len(moved), ok=len(moved) >= 3)


async def _moved(client: Client, stage: Stage) -> list[str]:
    """So that reading the past is not the same as reading the present."""
    now = await states.read(client, stage.names)
    return [name for name, state in now.items() if state != stage.seen.states[name]]


def _digest(found: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(name.encode() + b"\0" + found[name] + b"\0")
    return digest.hexdigest()
