"""The registry over a live gRPC server, real NATS and real Postgres: whole lives, races, rebuilding."""

import asyncio
from pathlib import Path
from typing import Any

from kernel.digest import views_digest
from kernel.fold import kind
from modelog.archive.v1 import events_pb2 as archive
from modelog.deployment.v1 import events_pb2 as deployment
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain import KNOWN_ENDPOINT
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.registry.build import ADA, BEN, CAT, DIGEST, MODEL_NAME, PROJECT_NAME, artifact, evaluation, policy, rule
from tests.registry.office import Elsewhere, Office, office, refused

ENDPOINT = f"{PROJECT_NAME}/endpoints/eu"
RECORD = f"{PROJECT_NAME}/records/fraud-1"
RECORDS = kind("archive", "projects/*/records/*", types.KnownEndpoint, lambda *_: None, listens=())
YES = {"kind": types.REVIEW_KIND_GENERAL, "decision": types.REVIEW_DECISION_APPROVE}


async def test_a_version_goes_from_registration_to_production_under_a_policy(registry: Office) -> None:
    await registry.found_model()
    gated = rule(
        "testing",
        gates=("evaluations['holdout'].metrics.auc >= 0.8",),
        reviews=1,
        required_documentation=["limitations"],
    )
    await registry.SetPolicy(name=PROJECT_NAME, policy=policy(gated))
    version = await registry.register(framework="f", documentation={"summary": "s"})
    await registry.RecordEvaluation(name=version, evaluation_id="holdout", evaluation=evaluation(0.7), by=CAT)
    opened = await registry.RequestTransition(name=version, to_stage="testing")
    assert (opened.transition, opened.state) == (1, types.TRANSITION_STATE_OPEN)
    assert [gate.result == types.GATE_RESULT_PASSED for gate in opened.gates] == [True, False, False]
    assert (await refused(registry.ChangeStage(name=version, to_stage="testing")))[:2] == (
        "FAILED_PRECONDITION",
        "GATES_FAILED",
    )
    await registry.UpdateVersion(
        name=version, documentation={"limitations": "none known"}, update_mask={"paths": ["limitations"]}
    )
    mended = await registry.RecordEvaluation(name=version, evaluation_id="holdout", evaluation=evaluation(0.9))
    late = registry.SubmitReview(name=version, transition=1, by=BEN, **YES)
    assert (await refused(late))[:2] == ("FAILED_PRECONDITION", "TRANSITION_VOID")
    await registry.RequestTransition(name=version, to_stage="testing")
    own = registry.SubmitReview(name=version, transition=2, by=ADA, **YES)
    assert (await refused(own))[:2] == ("PERMISSION_DENIED", "SEPARATION_OF_DUTIES")
    told = await registry.CheckTransition(name=version, to_stage="testing", read={"at_least": mended.revision})
    assert [gate.name for gate in told.gates if gate.result == types.GATE_RESULT_FAILED] == ["general"]
    review = await registry.SubmitReview(name=version, transition=2, by=BEN, **YES)
    assert review.state == types.TRANSITION_STATE_APPROVED
    changed = await registry.ChangeStage(name=version, to_stage="testing", request_id="move")
    assert [gate.name for gate in changed.gates] == ["lifecycle", "limitations", "g0", "general"]
    for stage in ("staging", "production"):
        reply = await registry.ChangeStage(name=version, to_stage=stage)
    state = await registry.GetVersion(name=version, read={"at_least": reply.revision})
    assert (state.stage, state.phase) == ("production", types.PHASE_PRODUCTION)
    assert [list(verdict.approvers) for verdict in state.verdicts] == [[BEN], [], []]
    early = await registry.GetVersion(name=version, read={"as_of_revision": mended.revision})
    assert (early.stage, early.evaluations["holdout"].recorded_by) == ("development", ADA)
    assert await registry.ChangeStage(name=version, to_stage="testing", request_id="move") == changed


async def test_64_registrations_at_once_get_the_numbers_1_to_64(registry: Office) -> None:
    await registry.found_model()
    names = await asyncio.gather(*(registry.register(framework=f"f{n}") for n in range(64)))
    assert sorted(int(name.rpartition("/")[2]) for name in names) == list(range(1, 65))
    page = await registry.ListVersions(parent=MODEL_NAME, page_size=500, read={"at_least": 66})
    assert [version.name for version in page.versions] == [f"{MODEL_NAME}/versions/{n}" for n in range(1, 65)]
    again = await registry.register()
    assert again == f"{MODEL_NAME}/versions/65"


async def test_a_retired_number_is_never_used_again(registry: Office) -> None:
    await registry.found_model()
    await registry.register()
    second = await registry.register()
    await registry.RetireVersion(name=second)
    assert await registry.register() == f"{MODEL_NAME}/versions/3"


async def test_64_assignments_of_one_alias_displace_each_other_in_a_chain(registry: Office) -> None:
    await registry.found_model()
    names = [await registry.register() for _ in range(4)]
    replies = await asyncio.gather(
        *(registry.AssignAlias(name=MODEL_NAME, alias="champion", version=names[n % 4]) for n in range(64))
    )
    chain = sorted({(reply.revision, reply.displaced_version) for reply in replies})
    before = ""
    for revision, displaced in chain:
        assert displaced == before
        model = await registry.GetModel(name=MODEL_NAME, read={"as_of_revision": revision})
        before = model.aliases["champion"].version


async def test_reviews_at_once_all_count(registry: Office) -> None:
    await registry.found_model()
    await registry.SetPolicy(name=PROJECT_NAME, policy=policy(rule(reviews=16)))
    version = await registry.register()
    await registry.RequestTransition(name=version, to_stage="testing")
    people = [f"users/r{n}" for n in range(16)]
    replies = await asyncio.gather(
        *(registry.SubmitReview(name=version, transition=1, by=who, **YES) for who in people)
    )
    assert [reply.state for reply in replies].count(types.TRANSITION_STATE_APPROVED) == 1
    reply = await registry.ChangeStage(name=version, to_stage="testing")
    state = await registry.GetVersion(name=version, read={"at_least": reply.revision})
    assert sorted(state.verdicts[0].approvers) == sorted(people)


async def test_a_repeated_request_gets_its_first_answer_and_its_id_serves_no_other(
    registry: Office, nats: NatsServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    await registry.found_model()
    first, second = await registry.register(request_id="one"), await registry.register()
    assert await registry.register(request_id="one") == first
    other = registry.RegisterVersion(parent=MODEL_NAME, artifact=artifact(), framework="other", request_id="one")
    assert (await refused(other))[:2] == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    assigned = [
        await registry.AssignAlias(name=MODEL_NAME, alias="champion", version=name, request_id=f"to {name}")
        for name in (first, second)
    ]
    assert assigned[1].displaced_version == first
    await registry.live.rooms.resources.catch_up()
    async with office(nats, postgres, tmp_path, registry.live.schema, roles="rpc") as restarted:
        again = await restarted.AssignAlias(
            name=MODEL_NAME, alias="champion", version=second, request_id=f"to {second}"
        )
        assert again == assigned[1]
        assert await restarted.register(request_id="one") == first


async def test_a_dry_run_records_nothing_and_refuses_the_same(registry: Office) -> None:
    await registry.found_model()
    version = await registry.register()
    head = await registry.live.rooms.log.head()
    reply = await registry.ChangeStage(name=version, to_stage="testing", validate_only=True)
    assert (reply.revision, list(reply.gates)) == (0, [])
    dry: dict[str, Any] = {"name": version, "to_stage": "production", "validate_only": True}
    assert (await refused(registry.ChangeStage(**dry)))[1] == "TRANSITION_NOT_IN_LIFECYCLE"
    assert await registry.live.rooms.log.head() == head


async def test_a_version_retires_only_when_no_endpoint_serves_it_and_then_is_archived(
    registry: Office, elsewhere: Elsewhere
) -> None:
    await registry.found_model()
    first, second = await registry.register(), await registry.register()
    share = [{"version": first, "percent": 90}, {"version": second, "percent": 10}]
    await elsewhere.record(KNOWN_ENDPOINT, ENDPOINT, deployment.EndpointCreated(environment="e"))
    await elsewhere.record(KNOWN_ENDPOINT, ENDPOINT, deployment.TrafficShifted(traffic=share))
    await registry.AssignAlias(name=MODEL_NAME, alias="champion", version=first)
    assert (await refused(registry.RetireVersion(name=first)))[1] == "VERSION_IN_USE"
    assert (await refused(registry.RetireVersion(name=second)))[1] == "VERSION_IN_USE"
    moved = deployment.TrafficShifted(traffic=[{"version": second, "percent": 100}])
    await elsewhere.record(KNOWN_ENDPOINT, ENDPOINT, moved)
    assert (await refused(registry.RetireVersion(name=first)))[1] == "VERSION_IN_USE"
    await registry.AssignAlias(name=MODEL_NAME, alias="champion", version=second)
    retired = await registry.RetireVersion(name=first)
    assert (await registry.RetireVersion(name=first)).revision == retired.revision
    assert (await refused(registry.RetireModel(name=MODEL_NAME)))[1] == "MODEL_HAS_VERSIONS"
    sealed = await elsewhere.record(RECORDS, RECORD, archive.RecordSealed(version=first))
    state = await registry.GetVersion(name=first, read={"at_least": sealed + 1})
    assert (state.phase, state.record) == (types.PHASE_ARCHIVED, RECORD)
    await elsewhere.record(KNOWN_ENDPOINT, ENDPOINT, deployment.EndpointRemoved())
    await registry.RemoveAlias(name=MODEL_NAME, alias="champion")
    await registry.RetireVersion(name=second)
    await registry.RetireModel(name=MODEL_NAME)
    closed = registry.RegisterVersion(parent=MODEL_NAME, artifact=artifact())
    assert (await refused(closed))[:2] == ("FAILED_PRECONDITION", "MODEL_RETIRED")


async def test_a_seal_of_what_has_not_retired_changes_nothing(registry: Office, elsewhere: Elsewhere) -> None:
    await registry.found_model()
    version = await registry.register()
    await elsewhere.record(RECORDS, RECORD, archive.RecordSealed(version=version))
    await elsewhere.record(RECORDS, f"{RECORD}-2", archive.RecordSealed(version="not a name"))
    reply = await registry.ChangeStage(name=version, to_stage="testing")
    async with asyncio.timeout(
        10
    ):  # The reactor hears of the archive's facts only, the last of which is the one before.
        while await registry.live.rooms.kept.fetchval("select revision from reactor_position") < reply.revision - 1:
            await asyncio.sleep(0.02)
    state = await registry.GetVersion(name=version, read={"at_least": reply.revision})
    assert (state.stage, state.generation) == ("testing", 2)


async def test_versions_are_compared_side_by_side(registry: Office) -> None:
    await registry.found_model()
    names = [await registry.register(hyperparameters={"depth": str(n)}) for n in range(2)]
    for name, auc in zip(names, (0.8, 0.9), strict=True):
        reply = await registry.RecordEvaluation(name=name, evaluation_id="holdout", evaluation=evaluation(auc))
    compared = await registry.CompareVersions(names=names, read={"at_least": reply.revision})
    assert [field.path for field in compared.fields] == ["hyperparameters.depth"]
    assert [(metric.path, list(metric.best)) for metric in compared.metrics] == [
        ("evaluations.holdout.metrics.auc", [names[1]])
    ]
    missing = registry.CompareVersions(names=[names[0], f"{MODEL_NAME}/versions/9"])
    assert (await refused(missing))[:2] == ("NOT_FOUND", "VERSION_NOT_FOUND")


async def test_lists_and_tags_and_roles(registry: Office) -> None:
    await registry.found_model()
    await registry.CreateModel(parent=PROJECT_NAME, model_id="churn")
    version = await registry.register()
    await registry.SetTag(name=version, key="run", value="7")
    await registry.SetTag(name=MODEL_NAME, key="team", value="blue")
    await registry.RemoveTag(name=MODEL_NAME, key="team")
    await registry.GrantRole(name=PROJECT_NAME, principal=BEN, role="approver")
    await registry.RevokeRole(name=PROJECT_NAME, principal=BEN, role="approver")
    await registry.UpdateModel(name=MODEL_NAME, details={"task": "t"}, update_mask={"paths": ["task"]})
    project = await registry.GetProject(name=PROJECT_NAME, read={"at_least": 1})
    await registry.SetLifecycle(name=PROJECT_NAME, lifecycle=project.lifecycle)
    withdrawn = await registry.RequestTransition(name=version, to_stage="testing")
    await registry.WithdrawTransition(name=version, transition=withdrawn.transition)
    reply = await registry.DeprecateVersion(name=version, message="old", sunset_time={"seconds": 9})
    at = {"at_least": reply.revision}
    assert [one.name for one in (await registry.ListProjects(read=at)).projects] == [PROJECT_NAME]
    models = (await registry.ListModels(parent=PROJECT_NAME, read=at)).models
    assert [one.name.rpartition("/")[2] for one in models] == ["churn", "fraud"]
    every = await registry.ListVersions(parent=f"{PROJECT_NAME}/models/-", read=at)
    assert [one.name for one in every.versions] == [version]
    assert dict(every.versions[0].tags) == {"run": "7"}
    assert every.versions[0].deprecation.message == "old"
    assert [one.role for one in (await registry.GetProject(name=PROJECT_NAME, read=at)).roles] == ["admin"]
    assert dict((await registry.GetModel(name=MODEL_NAME, read=at)).tags) == {}


async def test_a_rebuilt_schema_equals_the_live_one(
    registry: Office, elsewhere: Elsewhere, nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    await registry.found_model()
    await registry.SetPolicy(name=PROJECT_NAME, policy=policy(rule("staging", reviews=1)))
    await elsewhere.record(KNOWN_ENDPOINT, ENDPOINT, deployment.EndpointCreated(environment="e"))
    for number in range(20):
        version = await registry.register(hyperparameters={f"h{n}": "v" for n in range(number)})
        await registry.RecordEvaluation(name=version, evaluation_id="holdout", evaluation=evaluation(0.8))
        await registry.AssignAlias(name=MODEL_NAME, alias=f"a{number % 3}", version=version)
        await registry.ChangeStage(name=version, to_stage="testing")
        await registry.RequestTransition(name=version, to_stage="staging")
        await registry.SubmitReview(name=version, transition=1, by=BEN, **YES)
        share = [{"version": version, "percent": 100}]
        await elsewhere.record(KNOWN_ENDPOINT, ENDPOINT, deployment.TrafficShifted(traffic=share))
    await registry.RetireVersion(name=f"{MODEL_NAME}/versions/1")
    head = await registry.live.rooms.resources.catch_up()
    async with office(nats, postgres, tmp_path, f"{schema}_again", roles="projector") as again:
        await again.live.rooms.resources.wait(head)
        live, rebuilt = registry.live, again.live
        digests = await views_digest(live.rooms.pool, live.schema)
        assert {"version", "version_history", "serving", "retired", "known_endpoint", "searchable"} <= set(digests)
        assert await views_digest(rebuilt.rooms.pool, rebuilt.schema) == digests


async def test_the_artifact_of_the_move_is_the_one_that_was_registered(registry: Office) -> None:
    await registry.found_model()
    version = await registry.register()
    reply = await registry.ChangeStage(name=version, to_stage="testing")
    state = await registry.GetVersion(name=version, read={"at_least": reply.revision})
    assert state.verdicts[0].artifact_sha256 == state.artifact.sha256 == DIGEST
