"""Step 2: documentation, evaluation, gates and reviews, until version 1 may be used."""

from typing import NamedTuple

from google.protobuf.field_mask_pb2 import FieldMask

from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1.types_pb2 import (
    GATE_RESULT_PASSED,
    REVIEW_DECISION_APPROVE,
    REVIEW_KIND_COMPLIANCE,
    REVIEW_KIND_FAIRNESS,
    REVIEW_KIND_PERFORMANCE,
    Documentation,
    Gate,
    Policy,
    RequiredReview,
    ReviewKind,
    TransitionRule,
    Version,
)
from modelog.sdk import Denied, NotAllowedNow
from suite.demo import discussing
from suite.demo.registering import measure
from suite.demo.stage import ADA, MINA, PETRA, RUI, Stage

_TOO_STRICT = 0.99
POLICY = Policy(
    rules=[
        TransitionRule(to_stage="testing", required_documentation=["summary", "intended_use"]),
        TransitionRule(
            to_stage="staging",
            required_documentation=["architecture", "limitations"],
            gates=[
                Gate(name="finds-the-ill", expression="evaluations['holdout'].metrics.recall >= 0.9"),
                Gate(name="tells-them-apart", expression="evaluations['holdout'].metrics.auc >= 0.95"),
            ],
            required_reviews=[RequiredReview(kind=REVIEW_KIND_PERFORMANCE, count=1, role="validator")],
        ),
        TransitionRule(
            to_stage="production",
            required_documentation=["ethical_considerations"],
            gates=[Gate(name="treats-alike", expression="fairness.demographic_parity_difference <= 0.15")],
            required_reviews=[
                RequiredReview(kind=REVIEW_KIND_FAIRNESS, count=1, role="validator"),
                RequiredReview(kind=REVIEW_KIND_COMPLIANCE, count=1, role="approver"),
            ],
        ),
    ]
)


class Answer(NamedTuple):
    """One approving review."""

    reviewer: str
    kind: ReviewKind
    comment: str


REVIEWS: dict[str, tuple[Answer, ...]] = {
    "testing": (),
    "staging": (Answer(RUI, REVIEW_KIND_PERFORMANCE, "Measured on rows it has not seen; finds the ill ones."),),
    "production": (
        Answer(RUI, REVIEW_KIND_FAIRNESS, "Both halves of the patients are called malignant equally often."),
        Answer(MINA, REVIEW_KIND_COMPLIANCE, "May be used beside the judgement of a physician."),
    ),
}


async def play(stage: Stage) -> str:
    registry, names = stage.client.registry, stage.names
    await registry.SetPolicy(rpc.SetPolicyRequest(name=names.project, policy=POLICY), metadata=stage.by(PETRA))
    await describe(stage, 1, "summary", "intended_use", "architecture", "ethical_considerations")
    await measure(stage, 1, "holdout", stage.parts.holdout, threshold=_TOO_STRICT)
    await move(stage, 1, "testing")
    await _refused_then_mended(stage)
    await discussing.play(stage)
    await move(stage, 1, "production")
    version = await registry.GetVersion(rpc.GetVersionRequest(name=names.version(1)))
    _check_approved(stage, version)
    return "version 1 failed two gates, was held up by a finding, reviewed by others, and is in production"


async def _refused_then_mended(stage: Stage) -> None:
    """The gates to staging refuse: a documentation is missing, and the evaluation was made with a wrong threshold."""
    registry, name = stage.client.registry, stage.names.version(1)
    asked = await registry.RequestTransition(
        rpc.RequestTransitionRequest(name=name, to_stage="staging"), metadata=stage.by(ADA)
    )
    failed = sorted(gate.name for gate in asked.gates if gate.result != GATE_RESULT_PASSED)
    refused = ""
    try:
        await registry.ChangeStage(rpc.ChangeStageRequest(name=name, to_stage="staging"), metadata=stage.by(ADA))
    except NotAllowedNow as refusal:
        refused = f"{refusal.reason} {' '.join(sorted(refusal.metadata))}"
    stage.report.check("gates that fail for version 1", ["finds-the-ill", "limitations"], failed)
    stage.report.check("the move is refused, naming them", f"GATES_FAILED {' '.join(failed)}", refused)
    await describe(stage, 1, "limitations")
    await measure(stage, 1, "holdout", stage.parts.holdout)
    await move(stage, 1, "staging", author_tries=True)


async def describe(stage: Stage, number: int, *fields: str) -> None:
    """Writes these fields of the documentation."""
    everything = _documentation(number)
    chosen = Documentation(**{field: getattr(everything, field) for field in fields})
    request = rpc.UpdateVersionRequest(
        name=stage.names.version(number), documentation=chosen, update_mask=FieldMask(paths=fields)
    )
    await stage.client.registry.UpdateVersion(request, metadata=stage.by(ADA))


def _documentation(number: int) -> Documentation:
    return Documentation(
        summary=f"Version {number} of the model that tells malignant biopsies from benign ones.",
        intended_use="A second opinion beside a physician's. Never the only one.",
        architecture="Columns standardized, then a logistic regression.",
        limitations="Trained on the scanners named in the training data; other scanners measure otherwise.",
        ethical_considerations="A malignant biopsy that is missed does the greater harm, so recall is what is gated.",
    )


async def move(stage: Stage, number: int, to_stage: str, *, author_tries: bool = False) -> None:
    """Requests the move, has it reviewed by others, and makes it."""
    registry, name = stage.client.registry, stage.names.version(number)
    asked = await registry.RequestTransition(
        rpc.RequestTransitionRequest(name=name, to_stage=to_stage), metadata=stage.by(ADA)
    )
    if author_tries:
        own = Answer(ADA, REVIEW_KIND_PERFORMANCE, "Looks good to me.")
        stage.report.check("an author may not review her own", "SEPARATION_OF_DUTIES", await _own(stage, name, own))
    for answer in REVIEWS[to_stage]:
        await registry.SubmitReview(_review(name, asked.transition, answer), metadata=stage.by(answer.reviewer))
    await registry.ChangeStage(rpc.ChangeStageRequest(name=name, to_stage=to_stage), metadata=stage.by(ADA))


async def _own(stage: Stage, name: str, answer: Answer) -> str:
    """The reason for which a review is refused; empty when it is not."""
    version = await stage.client.registry.GetVersion(rpc.GetVersionRequest(name=name))
    request = _review(name, version.transition.number, answer)
    try:
        await stage.client.registry.SubmitReview(request, metadata=stage.by(answer.reviewer))
    except Denied as refusal:
        return refusal.reason
    return ""


def _review(name: str, transition: int, answer: Answer) -> rpc.SubmitReviewRequest:
    return rpc.SubmitReviewRequest(
        name=name,
        transition=transition,
        kind=answer.kind,
        decision=REVIEW_DECISION_APPROVE,
        comment=answer.comment,
        evidence=[f"{name}#evaluations/holdout"],
    )


def _check_approved(stage: Stage, version: Version) -> None:
    """The verdict says who approved what, and it was none of the makers."""
    verdict = next(one for one in version.verdicts if one.to_stage == "production")
    stage.report.check("who approved version 1 for production", sorted([RUI, MINA]), sorted(verdict.approvers))
    shared = sorted(set(verdict.approvers) & set(version.makers))
    stage.report.check("approvers among the makers of version 1", [], shared)
    stage.report.check(
        "the approved digest is that of the stored file", version.artifact.sha256, verdict.artifact_sha256
    )
