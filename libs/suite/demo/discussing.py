"""Part of step 2: a reviewer finds something, which is talked about where it was found, and stops the version."""

from modelog.registry.v1 import collaboration_pb2, collaboration_service_pb2, governance_pb2
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1.types_pb2 import REVIEW_KIND_FAIRNESS, SEVERITY_HIGH
from modelog.sdk import Denied, NotAllowedNow
from suite.demo.stage import ADA, RUI, Stage

_ANSWER = "Both scanners' rows are in the slices of the evaluation now; the texts say which scanner is meant."


async def play(stage: Stage) -> None:
    """Version 1 is held up on its way to production until Ada has answered and Rui has confirmed."""
    registry, name = stage.client.registry, stage.names.version(1)
    raised = await registry.RaiseFinding(
        governance_pb2.RaiseFindingRequest(
            name=name,
            severity=SEVERITY_HIGH,
            kind=REVIEW_KIND_FAIRNESS,
            title="Nothing is said of other scanners",
            text="The clinic will replace its scanner; what then?",
        ),
        metadata=stage.by(RUI),
    )
    waiting = await _tasks(stage, ADA)
    stage.report.check("what waits for Ada once Rui has found something", "TASK_KIND_FINDING", waiting)
    thread = await _talk(stage, name, raised.finding)
    stage.report.check("a finding stops the version", "GATES_FAILED findings", await _stopped(stage, name))
    answer = governance_pb2.ResolveFindingRequest(name=name, finding=raised.finding, text=_ANSWER)
    await registry.ResolveFinding(answer, metadata=stage.by(ADA))
    confirm = governance_pb2.ConfirmFindingRequest(name=name, finding=raised.finding)
    own = ""
    try:
        await registry.ConfirmFinding(confirm, metadata=stage.by(ADA))
    except Denied as refusal:
        own = refusal.reason
    stage.report.check("an author does not confirm her own answer", "SEPARATION_OF_DUTIES", own)
    await registry.ConfirmFinding(confirm, metadata=stage.by(RUI))
    done = collaboration_service_pb2.ResolveThreadRequest(name=thread)
    await stage.client.collaboration.ResolveThread(done, metadata=stage.by(RUI))


async def _talk(stage: Stage, name: str, finding: int) -> str:
    """Rui asks in a thread of the finding, Ada answers."""
    talk = stage.client.collaboration
    target = collaboration_pb2.ThreadTarget(name=name, finding=finding)
    asked = collaboration_service_pb2.OpenThreadRequest(
        parent=stage.names.model, target=target, title="Other scanners", body=f"@{ADA} what happens with a new scanner?"
    )
    opened = await talk.OpenThread(asked, metadata=stage.by(RUI))
    said = collaboration_service_pb2.PostCommentRequest(name=opened.name, body="We watch its input, and train again.")
    await talk.PostComment(said, metadata=stage.by(ADA))
    return opened.name


async def _tasks(stage: Stage, person: str) -> str:
    """Kinds of what waits for somebody."""
    request = collaboration_service_pb2.ListTasksRequest(parent=stage.names.project)
    reply = await stage.client.collaboration.ListTasks(request, metadata=stage.by(person))
    return " ".join(collaboration_pb2.TaskKind.Name(one.kind) for one in reply.tasks)


async def _stopped(stage: Stage, name: str) -> str:
    """Why it does not move; the gates that only reviews open are left out."""
    request = rpc.ChangeStageRequest(name=name, to_stage="production")
    try:
        await stage.client.registry.ChangeStage(request, metadata=stage.by(ADA))
    except NotAllowedNow as refusal:
        return f"{refusal.reason} {' '.join(one for one in refusal.metadata if one == 'findings')}"
    return ""
