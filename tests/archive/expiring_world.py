"""A project in memory that versions, rules, holds and expiries happen to, and an oracle in words of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.message import Message

from kernel.cause import Cause, fact_of
from kernel.errors import Refusal
from kernel.fold import Kind, apply
from kernel.log import Entry
from kernel.names import subject_of
from modelog.archive.v1 import events_pb2 as events
from modelog.archive.v1 import retentions_pb2 as types
from modelog.archive.v1.record_erasures_pb2 import ARTIFACT_OUTCOME_GONE
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1.governance_events_pb2 import VersionRestored
from modelog.registry.v1.types_pb2 import PHASE_DEVELOPMENT, PHASE_PRODUCTION
from modelog.type.v1.principal_pb2 import Principal
from services.archive.domain import HOLD, KNOWN_VERSION, RECORD, RETENTION
from services.archive.domain.expiring import Standing, Verdict, erase, expire, judge, stands, withdraw
from services.archive.domain.hold import place, release
from services.archive.domain.record import record_name
from services.archive.domain.retention import remove_rule, set_rule

PROJECT = "projects/risk"
START = datetime(2026, 3, 1, tzinfo=UTC)
PATHS = {"artifact": 900}


@dataclass
class Traits:
    """A version as the test itself sees it. ended: when it retired last; sealed: when its record was."""

    number: int
    tags: dict[str, str] = field(default_factory=dict)
    served: bool = False
    ended: datetime | None = None
    sealed: datetime | None = None

    @property
    def name(self) -> str:
        return f"{PROJECT}/models/fraud/versions/{self.number}"


# Filters, and what they mean in words of the test.
CHOICES: Mapping[str, Callable[[Traits], bool]] = {
    "": lambda _: True,
    "tags.use = credit": lambda one: one.tags.get("use") == "credit",
    "NOT tags.use = credit": lambda one: one.tags.get("use") != "credit",
    "phases:PRODUCTION": lambda one: one.served,
    "number >= 2 AND tags:use": lambda one: one.number >= 2 and "use" in one.tags,
    "model = other OR number = 3": lambda one: one.number == 3,
}


@dataclass
class Rule:
    filter: str
    priority: int
    days: int  # 0: for ever.


@dataclass
class World:
    """The log of one project, what the archive folds of it, and beside it what the test keeps in its own words."""

    now: datetime = START
    log: list[Entry] = field(default_factory=list)
    states: dict[str, Any] = field(default_factory=dict)
    former: dict[tuple[str, int], bytes] = field(default_factory=dict)
    versions: dict[int, Traits] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    holds: dict[str, tuple[list[str], str]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def record(self, kind: Kind, name: str, happened: Message | None) -> int:
        """Appends the fact and folds it; the revision."""
        assert happened is not None
        state = self.states.setdefault(name, kind.message())
        revision = len(self.log) + 1
        cause = Cause(actor=Principal(id="users/ada"), request_id=f"request-{revision}", now=self.now)
        fact = fact_of(kind, name, state, happened, cause, ())
        apply(kind, state, fact, revision)
        self.former[name, revision] = state.SerializeToString(deterministic=True)
        self.log.append(Entry(revision, subject_of(kind.service, name), fact.SerializeToString(deterministic=True)))
        return revision

    def write(self, kind: Kind, name: str, verb: Any, **fields: Any) -> bool:
        """What a caller asks for; False when it is refused or changes nothing."""
        try:
            happened = verb(self.states.get(name, kind.message()), **fields)
        except Refusal:
            return False
        if happened is not None:
            self.record(kind, name, happened)
        return happened is not None

    def as_of(self, kind: Kind, name: str, revision: int) -> Any:
        known = [at for of, at in self.former if of == name and at <= revision]
        return kind.message.FromString(self.former[name, max(known)]) if known else kind.message()

    def standing(self, revision: int) -> Standing:
        rules = [one for one in self.states if "/retentions/" in one]
        holds = [one for one in self.states if "/holds/" in one]
        return Standing(
            [found for one in rules if (found := self.as_of(RETENTION, one, revision)).name],
            [found for one in holds if (found := self.as_of(HOLD, one, revision)).name],
        )

    def verdict(self, record: str, revision: int) -> Verdict:
        sealed = self.as_of(RECORD, record, revision)
        return judge(sealed, self.as_of(KNOWN_VERSION, sealed.version, revision), self.standing(revision))

    # What the oracle says, in words of its own.

    def holding(self, one: Traits) -> set[str]:
        covered = (one.name, record_name(one.name))
        return {
            name
            for name, (resources, query) in self.holds.items()
            if any(own == held or own.startswith(held + "/") for own in covered for held in resources)
            or (query and CHOICES[query](one))
        }

    def due(self, one: Traits) -> str:
        """The rule by which it goes now; empty when it stays."""
        if one.sealed is None or one.ended is None or self.holding(one) or record_name(one.name) in self.gone:
            return ""
        for name, rule in sorted(self.rules.items(), key=lambda item: (item[1].priority, item[0])):
            if CHOICES[rule.filter](one):
                kept = max(one.sealed, one.ended) + timedelta(days=rule.days)
                return name if rule.days and kept <= self.now else ""
        return ""

    # What happens.

    def register(self, number: int, use: str, served: bool) -> None:
        if number in self.versions:
            return
        one = self.versions[number] = Traits(number, {"use": use} if use else {}, served)
        entered = registry.VersionRegistered(stage="development", phase=PHASE_DEVELOPMENT, tags=one.tags)
        self.record(KNOWN_VERSION, one.name, entered)
        if served:
            self.record(KNOWN_VERSION, one.name, registry.StageChanged(to_stage="live", to_phase=PHASE_PRODUCTION))

    def tag(self, number: int, use: str) -> None:
        if one := self.versions.get(number):
            self.record(KNOWN_VERSION, one.name, registry.TagSet(key="use", value=use))
            if one.ended is None:
                one.tags["use"] = use

    def retire(self, number: int) -> None:
        one = self.versions.get(number)
        if one is None or one.ended is not None:
            return
        one.ended = self.now
        self.record(KNOWN_VERSION, one.name, registry.VersionRetired())
        if one.sealed is None:
            self.now += timedelta(hours=1)
            one.sealed = self.now
            record = record_name(one.name)
            self.record(RECORD, record, events.ArchivingStarted(version=one.name))
            self.record(RECORD, record, events.RecordSealed(version=one.name, manifest_sha256="ab"))

    def bring_back(self, number: int) -> None:
        one = self.versions.get(number)
        if one is not None and one.ended is not None:
            one.ended = None
            back = VersionRestored(to_stage="development", to_phase=PHASE_DEVELOPMENT)
            self.record(KNOWN_VERSION, one.name, back)

    def rule(self, id_: str, filter_: str, priority: int, days: int) -> None:
        said = types.RetentionSettings(filter=filter_, priority=priority)
        if days:
            said.days = days
        else:
            said.for_ever = True
        name = f"{PROJECT}/retentions/{id_}"
        self.write(RETENTION, name, set_rule, settings=said)
        self.rules[name] = Rule(filter_, priority, days)

    def unrule(self, id_: str) -> None:
        name = f"{PROJECT}/retentions/{id_}"
        self.write(RETENTION, name, remove_rule)
        self.rules.pop(name, None)

    def hold(self, id_: str, what: str, query: str) -> None:
        name, resources = f"{PROJECT}/holds/{id_}", [f"{PROJECT}/{what}"] if what else []
        fields: dict[str, Any] = {"project": PROJECT, "resources": resources, "title": "", "authority": ""}
        if self.write(HOLD, name, place, **fields, query=query):
            self.holds[name] = (resources, query)

    def unhold(self, id_: str) -> None:
        self.write(HOLD, f"{PROJECT}/holds/{id_}", release)
        self.holds.pop(f"{PROJECT}/holds/{id_}", None)

    def wait(self, days: int) -> None:
        self.now += timedelta(days=days)

    def look(self, meanwhile: list[tuple[Any, ...]]) -> None:
        """As the controller does: what it has seen of rules and holds may be old when it records what expires."""
        seen, waiting = self.standing(len(self.log)), list(meanwhile)
        for name in sorted(one for one in self.states if "/records/" in one):
            record = self.states[name]
            if not judge(record, self.states[record.version], seen).is_due(self.now):
                continue
            if waiting:
                do(self, waiting.pop())
            fresh = [self.states[one.name] for one in seen.rules]  # The rule that decides is read anew.
            going = expire(
                record, self.states[record.version], standing=Standing(fresh, seen.holds), now=self.now, paths=PATHS
            )
            if going is not None:
                self.react(name, self.record(RECORD, name, going), waiting)

    def react(self, name: str, revision: int, waiting: list[tuple[Any, ...]]) -> None:
        """As the reaction does, perhaps after more has happened; the oracle looks at the fact's place in the log."""
        (one,) = (one for one in self.versions.values() if record_name(one.name) == name)
        record = self.states[name]
        attempt, expired_at, wanted = record.generation, self.now, self.due(one)
        if waiting:
            do(self, waiting.pop())
        verdict = self.verdict(name, revision - 1)
        if not stands(verdict, record.expiry_rule, expired_at):
            assert wanted != record.expiry_rule
            back = withdraw(record, attempt=attempt, expire_revision=revision, holds=verdict.holds)
            self.record(RECORD, name, back)
            return
        assert wanted == record.expiry_rule, "what went was held, kept by another rule, or not yet due"
        outcome = erase(record, attempt=attempt, expire_revision=revision, artifact=ARTIFACT_OUTCOME_GONE)
        self.record(RECORD, name, outcome)
        self.gone.add(name)


def do(world: World, step: tuple[Any, ...]) -> None:
    getattr(world, step[0])(*step[1:])
