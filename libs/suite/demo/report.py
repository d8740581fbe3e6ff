"""What the demo leaves behind: every step with its facts, every verification with what was expected and found."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from modelog.sdk import Entry


@dataclass(frozen=True)
class Verification:
    """One comparison. expected and found are plain values, so that a reader of the report can compare them again."""

    step: int
    name: str
    expected: Any
    found: Any
    ok: bool


@dataclass
class Report:
    """Written as JSON; `ok` only when all steps were played and every verification held."""

    project: str = ""
    begin_time: str = ""
    seconds: float = 0.0
    steps_planned: int = 0
    steps: list[dict[str, Any]] = field(default_factory=list)
    verifications: list[Verification] = field(default_factory=list)
    # What served one endpoint between two moments, as the deployment service answers.
    served: dict[str, Any] = field(default_factory=dict)
    log: dict[str, Any] = field(default_factory=dict)
    failure: str = ""

    def check(self, name: str, expected: Any, found: Any, *, ok: bool | None = None) -> bool:
        """Records a comparison: equality, unless `ok` says how it came out (`expected` is then the rule in words)."""
        held = expected == found if ok is None else ok
        self.verifications.append(Verification(len(self.steps) + 1, name, expected, found, held))
        return held

    def step(self, title: str, summary: str, seconds: float, entries: Iterable[Entry]) -> dict[str, Any]:
        """Records that a step has been played, with what it brought into the log."""
        facts = [fact_of(entry) for entry in entries]
        number = len(self.steps) + 1
        step = {"number": number, "title": title, "summary": summary, "seconds": round(seconds, 3), "facts": facts}
        self.steps.append(step)
        return step

    @property
    def broken(self) -> list[Verification]:
        return [one for one in self.verifications if not one.ok]

    @property
    def ok(self) -> bool:
        whole = 0 < self.steps_planned == len(self.steps) and not self.failure
        return whole and bool(self.verifications) and not self.broken

    def as_json(self) -> str:
        return json.dumps({"ok": self.ok, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"

    def write(self, path: Path) -> None:
        """Replaces the file at once, so that nobody reads half a report."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(path.name + ".new")
        new.write_text(self.as_json(), encoding="utf-8")
        new.replace(path)


def fact_of(entry: Entry) -> dict[str, Any]:
    """Revision, resource, generation, kind and actor of a fact; without them when it cannot be read."""
    if entry.fact is None:
        return {"revision": entry.revision, "subject": entry.subject}
    return {
        "revision": entry.revision,
        "resource": entry.fact.resource,
        "generation": entry.fact.generation,
        "kind": kind_of(entry),
        "actor": entry.fact.actor.id,
    }


def kind_of(entry: Entry) -> str:
    """`StageChanged`; empty when the fact cannot be read."""
    return entry.fact.event.type_url.rpartition(".")[2] if entry.fact else ""
