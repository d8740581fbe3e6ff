"""Part of step 7: Eva has the approval of version 1 judged again, under the policy of then and under a stricter one."""

from modelog.registry.v1 import cards_pb2, governance_pb2
from modelog.registry.v1.types_pb2 import Policy
from modelog.type.v1.read_pb2 import ReadOptions
from suite.demo.approving import POLICY
from suite.demo.stage import EVA, Stage


async def play(stage: Stage) -> None:
    stage.note("judging the approval of version 1 again")
    name = stage.names.version(1)
    request = governance_pb2.ReplayVerdictRequest(name=name, to_stage="production")
    again = await stage.client.registry.ReplayVerdict(request, metadata=stage.by(EVA))
    stage.report.check("gates of version 1 that come out otherwise when judged again", [], list(again.differences))
    stage.report.check("the verdict of version 1 is reproduced", True, again.reproduced)
    strict = Policy()
    strict.CopyFrom(POLICY)
    strict.rules[-1].gates.add(name="never-wrong", expression="evaluations['holdout'].metrics.accuracy >= 1.0")
    request.policy.CopyFrom(strict)
    other = await stage.client.registry.ReplayVerdict(request, metadata=stage.by(EVA))
    differing = [one.name for one in other.differences]
    stage.report.check("what a stricter policy would have said", ["never-wrong"], differing)
    await _card(stage, name)


async def _card(stage: Stage, name: str) -> None:
    """The model card as it was at the end of step 3, when nobody knew yet that version 1 would be retired."""
    then = ReadOptions(as_of_revision=stage.seen.revision)
    request = cards_pb2.GetModelCardRequest(name=name, read=then)
    card = await stage.client.registry.GetModelCard(request, metadata=stage.by(EVA))
    stage.report.check("stage of version 1 on its card as of step 3", "production", card.version.stage)
    missing = list(card.completeness.missing)
    known = "evaluations.slices" not in missing and "documentation.limitations" not in missing
    stage.report.check("what its card did not say then", "neither slices nor limitations", missing, ok=known)
