"""Findings, answers and reviews, as the tests of governance let them happen."""

from typing import Any

from modelog.registry.v1 import types_pb2 as types
from services.registry.domain.checklists import answer_checklist
from services.registry.domain.findings import raise_finding
from services.registry.domain.transition import change_stage, request_transition, submit_review
from testkit.scenario import Life, Outcome
from tests.registry.build import BEN, NOW, project

ANY = project()


def raised(version: Life, severity: types.Severity = types.SEVERITY_HIGH, title: str = "leaks", by: str = BEN) -> Life:
    """The version after a reviewer found something."""
    outcome = version.when(
        raise_finding,
        ANY,
        severity=severity,
        kind=types.REVIEW_KIND_SECURITY,
        title=title,
        text="the target is among the inputs",
        evidence=["https://notebooks/7"],
    )
    return after(version, outcome, by=by)


def answered(version: Life, within: types.Project, item: str, by: str = BEN, **words: Any) -> Outcome:
    given: dict[str, Any] = {
        "item": item,
        "result": types.CHECKLIST_RESULT_DONE,
        "comment": "",
        "evidence": [],
        "actors": [by],
        "now": NOW,
        **words,
    }
    return version.when(answer_checklist, within, **given)


def requested(version: Life, within: types.Project, to_stage: str = "testing", now: Any = NOW) -> Life:
    return after(version, version.when(request_transition, within, to_stage=to_stage, now=now))


def reviewed(version: Life, within: types.Project, by: str, *, now: Any = NOW, **words: Any) -> Outcome:
    given: dict[str, Any] = {
        "transition": version.state.transition.number,
        "reviewers": [by],
        "kind": types.REVIEW_KIND_GENERAL,
        "decision": types.REVIEW_DECISION_APPROVE,
        "comment": "",
        "evidence": [],
        "now": now,
        **words,
    }
    return version.when(submit_review, within, **given)


def moving(version: Life, within: types.Project, to_stage: str = "testing", now: Any = NOW) -> Outcome:
    return version.when(change_stage, within, to_stage=to_stage, now=now)


def after(version: Life, outcome: Outcome, by: str = "") -> Life:
    """The version after what a verb came to."""
    assert outcome.refusal is None, outcome.refusal
    assert outcome.event is not None
    return version.given(outcome.event, by=by)
