"""Given facts, when a verb, then a fact: tests of decisions read like the sentences they check.

life(VERSION, "projects/p/models/m/versions/1").given(registered).when(promote, to_stage="testing").then(changed)
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.message import Message

from kernel.cause import Cause, fact_of
from kernel.errors import Refusal
from kernel.fold import Kind, apply
from modelog.type.v1.principal_pb2 import Principal

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Outcome:
    """What a verb came to."""

    event: Message | None = None
    refusal: Refusal | None = None

    def then(self, expected: Message) -> None:
        if self.refusal is not None:
            raise AssertionError(f"refused: {self.refusal}")
        assert self.event == expected, f"\nexpected {type(expected).__name__}\n{expected}\nbut got\n{self.event}"

    def then_nothing(self) -> None:
        assert self.refusal is None, f"refused: {self.refusal}"
        assert self.event is None, f"recorded {self.event}"

    def then_refused(self, reason: str) -> None:
        assert self.refusal is not None, f"allowed: {self.event}"
        assert self.refusal.reason == reason, f"refused for {self.refusal.reason}: {self.refusal.message}"


@dataclass
class Life:
    """One resource and what has happened to it. Each fact is an hour after the one before."""

    kind: Kind
    name: str
    actor: str = "users/ada"
    state: Any = None
    revision: int = 0
    facts: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = self.kind.message() if self.state is None else self.state

    def given(self, *events: Message, by: str = "") -> "Life":
        """Folds the events, recorded by `by` or by this life's actor, into the state."""
        for event in events:
            self.revision += 1
            cause = Cause(
                actor=Principal(id=by or self.actor, auth_method="development"),
                request_id=f"request-{self.revision}",
                now=START + timedelta(hours=self.revision),
            )
            fact = fact_of(self.kind, self.name, self.state, event, cause, ())
            apply(self.kind, self.state, fact, self.revision)
            self.facts.append(fact)
        return self

    def when(self, verb: Any, *arguments: Any, **keywords: Any) -> Outcome:
        """Calls the verb on a copy of the state, so that a verb which writes to it is found out."""
        before = self.state.SerializeToString(deterministic=True)
        state = type(self.state).FromString(before)
        try:
            outcome = Outcome(event=verb(state, *arguments, **keywords))
        except Refusal as refusal:
            outcome = Outcome(refusal=refusal)
        assert state.SerializeToString(deterministic=True) == before, f"{verb} changed the state it decides on"
        return outcome


def life(kind: Kind, name: str, *, actor: str = "users/ada") -> Life:
    return Life(kind, name, actor=actor)
