"""Why something happened, over a running archive: from a rollback to the alert that it all began with."""

from typing import Any

import grpc

from modelog.archive.v1 import evidence_requests_pb2 as rpc
from modelog.deployment.v1 import events_pb2 as deployment
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import events_pb2 as monitoring
from modelog.registry.v1 import events_pb2 as registry
from tests.archive.calls import Archive, refused
from tests.archive.stories import ALERT, MODEL, PROJECT, Chronicle

RETRAINING = f"{PROJECT}/monitors/m/retrainings/1"
NEW = f"{MODEL}/versions/2"
ROLLOUT = f"{PROJECT}/endpoints/eu/rollouts/9"


def because(story: Chronicle, fact: Fact, cause: Fact) -> Fact:
    """The fact as a reaction to the cause."""
    fact.causation_id, fact.correlation_id = cause.id, cause.correlation_id
    return fact


def story_of_a_rollback() -> Chronicle:
    story = Chronicle()
    story.add("registry", PROJECT, registry.ProjectCreated(title="Risk"))
    alert = story.add("monitoring", ALERT, monitoring.AlertRaised(check="drift"))
    request = monitoring.RetrainingRequested()
    because(story, story.add("monitoring", RETRAINING, request), alert)
    story.add("registry", NEW, registry.VersionRegistered(stage="development", answers=RETRAINING))
    review = registry.ReviewSubmitted(transition=1, comment="good")
    story.add("registry", NEW, review, by="users/bob")
    story.add("deployment", ROLLOUT, deployment.RolloutRequested(version=NEW))
    story.add("deployment", ROLLOUT, deployment.RolloutFailed())
    story.add("registry", "projects/other", registry.ProjectCreated(title="Other"))
    return story


async def explained(running: Archive, **fields: Any) -> list[tuple[str, int, int]]:
    """Kind of fact, tie and parent of each node."""
    reply = await running.stub.ExplainFact(rpc.ExplainFactRequest(**fields), timeout=10)
    return [(node.entry.event_type.rpartition(".")[2], node.kind, node.parent) for node in reply.nodes]


async def test_a_rollback_leads_to_the_alert_that_it_began_with(running: Archive) -> None:
    end = await running.tell(story_of_a_rollback())
    await running.live.rooms.resources.wait(end)
    assert await explained(running, name=ROLLOUT) == [
        ("RolloutFailed", rpc.CAUSE_KIND_UNSPECIFIED, -1),
        ("RolloutRequested", rpc.CAUSE_KIND_FOLLOWS, 0),
        ("ReviewSubmitted", rpc.CAUSE_KIND_REFERS_TO, 1),
        ("VersionRegistered", rpc.CAUSE_KIND_FOLLOWS, 2),
        ("RetrainingRequested", rpc.CAUSE_KIND_REFERS_TO, 3),
        ("AlertRaised", rpc.CAUSE_KIND_CAUSED_BY, 4),
    ]
    assert (await explained(running, name=NEW, revision=4))[0][0] == "VersionRegistered"
    short = await running.stub.ExplainFact(rpc.ExplainFactRequest(name=ROLLOUT, depth=2), timeout=10)
    assert (len(short.nodes), short.truncated) == (3, True)
    nothing = running.stub.ExplainFact(rpc.ExplainFactRequest(name=f"{PROJECT}/models/none"), timeout=10)
    assert await refused(nothing) == (grpc.StatusCode.NOT_FOUND, "FACT_NOT_FOUND")
