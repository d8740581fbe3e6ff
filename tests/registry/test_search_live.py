"""Filters, orders and search over a running registry: now, as of past moments, in pages, by who may see what."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from access.authority import authority
from kernel.fields import Searchable, text
from modelog.registry.v1 import search_pb2
from services.registry.__main__ import BLUEPRINT
from services.registry.domain import PROJECT
from services.registry.searchable import SEARCHABLES
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import service
from tests.registry.build import ADA, BEN, CAT, MODEL_NAME, PROJECT_NAME, artifact, evaluation
from tests.registry.office import Office, refused
from tests.registry.test_roles_door import Believed

LIST = {"parent": MODEL_NAME}
ALL = {"parent": f"{PROJECT_NAME}/models/-"}
DAN = "users/dan"


def numbers(resources: Any) -> list[int]:
    return [int(one.name.rpartition("/")[2]) for one in resources]


async def found(office: Office, filter_: str = "", order_by: str = "", **fields: Any) -> list[int]:
    return numbers((await office.ListVersions(**(LIST | fields), filter=filter_, order_by=order_by)).versions)


async def stocked(office: Office) -> int:
    """Four versions: what they reach, and whose they are. Returns the revision where they are all there, untagged."""
    await office.found_model()
    revision = 0
    for number, auc in enumerate([0.91, 0.85, 0.97, 0.88], 1):
        summary = {"summary": f"Detecting card fraud, try {number}"}
        name = await office.register(hyperparameters={"trees": str(100 * number)}, documentation=summary)
        done = await office.RecordEvaluation(name=name, evaluation_id="holdout", evaluation=evaluation(auc))
        revision = done.revision
    for number, team in ((1, "risk"), (2, "risk"), (3, "fraud")):
        await office.SetTag(name=f"{MODEL_NAME}/versions/{number}", key="team", value=team)
    await office.live.rooms.resources.catch_up()
    return int(revision)


async def test_lists_take_filters_and_orders(registry: Office) -> None:
    await stocked(registry)
    assert await found(registry, "tags.team = risk") == [1, 2]
    assert await found(registry, "tags.team:*", **ALL) == [1, 2, 3]
    assert await found(registry, "-tags:team") == [4]
    assert await found(registry, "metrics.auc >= 0.9") == [1, 3]
    assert await found(registry, "evaluations.holdout.metrics.auc > 0.9 tags.team = fraud") == [3]
    assert await found(registry, "hyperparameters.trees < 300 OR tags.team = fraud") == [1, 2, 3]
    assert await found(registry, "detect cards") == [1, 2, 3, 4]
    assert await found(registry, "artifact.format = onn* stage:DEV") == [1, 2, 3, 4]
    assert await found(registry, order_by="metrics.auc desc") == [3, 1, 4, 2]
    assert await found(registry, order_by="tags.team, name desc") == [3, 2, 1, 4]
    assert await found(registry, order_by="create_time desc") == [4, 3, 2, 1]
    assert await found(registry, "metrics.auc < 0.95", "tags.team desc, metrics.auc") == [2, 1, 4]
    await registry.AssignAlias(name=MODEL_NAME, alias="champion", version=f"{MODEL_NAME}/versions/3")
    await registry.CreateModel(parent=PROJECT_NAME, model_id="churn", details={"title": "Churn", "owners": [BEN]})
    await registry.CreateProject(project_id="credit", title="Credit lines")
    await registry.live.rooms.resources.catch_up()
    at = {"parent": PROJECT_NAME}
    models = [await registry.ListModels(**at, filter=one) for one in ("aliases.champion = 3", "owners:users/ben", "")]
    assert [[one.name.rpartition("/")[2] for one in reply.models] for reply in models] == [
        ["fraud"], ["churn"], ["churn", "fraud"],
    ]  # fmt: skip
    projects = await registry.ListProjects(filter="title:CREDIT", order_by="title")
    assert [one.name for one in projects.projects] == ["projects/credit"]


async def test_the_past_is_filtered_and_ordered_as_it_was(registry: Office) -> None:
    before = await stocked(registry)
    await registry.RecordEvaluation(
        name=f"{MODEL_NAME}/versions/2", evaluation_id="holdout", evaluation=evaluation(0.99)
    )
    late = await registry.register(documentation={"summary": "Finding mules"})
    await registry.live.rooms.resources.catch_up()
    assert await found(registry, "metrics.auc > 0.9") == [1, 2, 3]
    then: dict[str, Any] = {"read": {"as_of_revision": before}}
    assert await found(registry, "metrics.auc > 0.9", **then) == [1, 3]
    assert await found(registry, "tags:team", **then) == []
    assert await found(registry, "", "metrics.auc desc", **then) == [3, 1, 4, 2]
    assert await found(registry, "detect cards", **then) == [1, 2, 3, 4]
    assert await found(registry, "mules", **then) == []
    first = await registry.GetVersion(name=f"{MODEL_NAME}/versions/4", read={"as_of_revision": before})
    past: dict[str, Any] = {"read": {"as_of_time": first.update_time}}
    assert await found(registry, "-tags:team", "create_time desc", **past) == [4, 3, 2, 1]
    (body,) = (await registry.ListVersions(**LIST, filter="number = 2", read=then["read"])).versions
    assert body.evaluations["holdout"].metrics["auc"].value == 0.85
    results = (await registry.Search(query="mules", read=then["read"])).results
    assert not results
    results = (await registry.Search(query="try", read=then["read"])).results
    assert {one.name for one in results} == {f"{MODEL_NAME}/versions/{number}" for number in range(1, 5)}
    assert all(not one.version.tags and one.snippet for one in results)
    assert late.endswith("/5")


async def test_pages_follow_each_other_and_their_tokens_belong_to_one_query(registry: Office) -> None:
    await stocked(registry)
    for order_by in ("", "metrics.auc desc", "tags.team desc, name", "create_time", "update_time desc"):
        whole = await found(registry, "metrics.auc > 0", order_by)
        paged: list[int] = []
        token = ""
        while True:
            reply = await registry.ListVersions(
                **LIST, filter="metrics.auc > 0", order_by=order_by, page_size=1, page_token=token
            )
            paged += numbers(reply.versions)
            token = reply.next_page_token
            if not token:
                break
        assert paged == whole
        assert sorted(whole) == [1, 2, 3, 4]
    asked = {"filter": "metrics.auc > 0", "order_by": "metrics.auc"}
    token = (await registry.ListVersions(**LIST, **asked, page_size=1)).next_page_token
    others: list[dict[str, Any]] = [
        asked | {"filter": "metrics.auc > 0.1"}, asked | {"order_by": "metrics.auc desc"}, {},
        asked | {"read": {"as_of_revision": 3}}, asked | {"parent": ALL["parent"]},
    ]  # fmt: skip
    forged = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))[:6]
    for content in (
        b'["x","y"]',
        b'["\\u0000",1]',
        b"[]",
        b"{",
        b'[{"a":1},null]',
        b'["1","\\ud800"]',
        b"\xff",
        b'[1e999,"x"]',
    ):
        text_ = base64.urlsafe_b64encode(forged + content).decode().rstrip("=")
        code, reason, fields = await refused_or_answered(registry, asked | {"page_token": text_})
        assert (code, reason, fields) in (("INVALID_ARGUMENT", "INVALID_REQUEST", ["page_token"]), ("OK", "", []))
    for other in others:
        call = registry.ListVersions(**(LIST | other), page_token=token)
        assert await refused(call) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["page_token"])
    wrong = registry.ListVersions(**LIST, filter="stag = x")
    assert await refused(wrong) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["filter"])
    wrong = registry.ListVersions(**LIST, order_by="stag")
    assert await refused(wrong) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["order_by"])
    wrong = registry.Search(query="(fraud")
    assert await refused(wrong) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["query"])


async def refused_or_answered(registry: Office, asked: dict[str, Any]) -> tuple[str, str, list[str]]:
    """A token that somebody made is refused, or leads to some page: never to a failure of the service."""
    import grpc.aio

    try:
        await registry.ListVersions(**LIST, **asked)
    except grpc.aio.AioRpcError:
        return await refused(registry.ListVersions(**LIST, **asked))
    return "OK", "", []


async def test_search_ranks_names_first_and_shows_what_matched(registry: Office) -> None:
    await stocked(registry)
    details = {"title": "Mule accounts", "description": "Fraudulent accounts that pass money on"}
    await registry.CreateModel(parent=PROJECT_NAME, model_id="mules", details=details)
    await registry.CreateModel(parent=PROJECT_NAME, model_id="churn", details={"description": "Not for mule hunting"})
    await registry.live.rooms.resources.catch_up()

    async def names(query: str, **more: Any) -> list[str]:
        reply = await registry.Search(query=query, **more)
        return [one.name.removeprefix(f"{PROJECT_NAME}/models/") for one in reply.results]

    assert await names("mule") == ["mules", "churn"]  # In its name, then in its text.
    assert await names("mul") == ["mules", "churn"]  # By the beginning.
    assert await names("hunted") == ["churn"]  # By the stem.
    assert await names('"pass money"') == ["mules"]
    assert await names('"money pass"') == []
    assert await names("mule -hunting") == ["mules"]
    assert await names("fraud metrics.auc > 0.9") == ["fraud/versions/3", "fraud/versions/1"]
    assert await names("", filter="tags.team = risk") == ["fraud/versions/2", "fraud/versions/1"]
    assert await names("fraud", kinds=[search_pb2.SEARCH_KIND_MODEL]) == ["fraud", "mules"]
    assert sorted(await names("try", within=MODEL_NAME)) == [f"fraud/versions/{number}" for number in range(1, 5)]
    assert await names("mule", within=MODEL_NAME) == []
    projects = await registry.Search(query="risk", kinds=[search_pb2.SEARCH_KIND_PROJECT])
    assert [one.project.title for one in projects.results] == ["Risk"]
    (one,) = (await registry.Search(query="hunting")).results
    assert [(piece.text, piece.matched) for piece in one.snippet][-1] == ("hunting", True)
    assert one.model.details.description == "Not for mule hunting"
    reply = await registry.Search(query="fraud", page_size=3)
    rest = await registry.Search(query="fraud", page_size=3, page_token=reply.next_page_token)
    both = [one.name for one in (*reply.results, *rest.results)]
    assert len(set(both)) == 6
    assert not rest.next_page_token


async def test_who_writes_finds_it_at_once(registry: Office) -> None:
    """Every writer reads at least its own revision, while the others write."""
    await registry.found_model()

    async def writer(number: int) -> None:
        made = await registry.RegisterVersion(
            parent=MODEL_NAME, artifact=artifact(), hyperparameters={"seed": str(number)}
        )
        tagged = await registry.SetTag(name=made.name, key="writer", value=f"w{number}")
        at = {"read": {"at_least": tagged.revision}}
        reply = await registry.ListVersions(
            **LIST, filter=f"hyperparameters.seed = {number} tags.writer = w{number}", **at
        )
        assert [one.name for one in reply.versions] == [made.name]

    await asyncio.gather(*(writer(number) for number in range(32)))


@pytest.fixture
async def guarded(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Office]:
    asked = replace(BLUEPRINT, authority=lambda rooms: authority(rooms, Believed(), kind=PROJECT))
    settings: dict[str, Any] = {"schema": schema, "identity": "roles", "administrators": f"{ADA},{BEN}"}
    async with service(asked, nats, postgres, tmp_path, **settings) as live:
        yield Office(live)


async def test_callers_find_only_what_they_may_read(guarded: Office) -> None:
    for project in ("risk", "other"):
        await guarded.CreateProject(project_id=project)
        await guarded.GrantRole(name=f"projects/{project}", principal=CAT, role="author")
        await guarded.live.rooms.resources.catch_up()
        for model in ("fraud", "churn"):
            details = {"title": f"Scores of {project}"}
            await guarded.CreateModel(parent=f"projects/{project}", model_id=model, details=details, by=CAT)
    await guarded.GrantRole(name="projects/risk", principal=DAN, role="viewer", model=MODEL_NAME)
    await guarded.live.rooms.resources.catch_up()

    async def seen(by: str, **more: Any) -> list[str]:
        return sorted(one.name for one in (await guarded.Search(query="scores", by=by, **more)).results)

    everything = [f"projects/{project}/models/{model}" for project in ("other", "risk") for model in ("churn", "fraud")]
    assert await seen(CAT) == everything
    assert await seen(CAT, within="projects/other") == everything[:2]
    assert await seen(DAN) == [MODEL_NAME]
    assert await seen("users/eve") == []
    assert await seen(DAN, page_size=1) == [MODEL_NAME]
    assert (await guarded.Search(query="scores", by="users/eve", page_size=1)).next_page_token == ""
    hidden = guarded.Search(query="scores", within="projects/other", by=DAN)
    assert await refused(hidden) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["within"])
    missing = guarded.Search(query="scores", within="projects/nothing", by=DAN)
    assert await refused(missing) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["within"])


def _more_fields() -> Any:
    return (*SEARCHABLES[1].fields(), text("shout", lambda model: model.details.title.upper()))


async def test_another_list_of_fields_folds_the_views_again(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    async with service(BLUEPRINT, nats, postgres, tmp_path, schema=schema) as live:
        office = Office(live)
        await office.found_model()
        await live.rooms.resources.catch_up()
        wrong = office.ListModels(parent=PROJECT_NAME, filter="shout = FRAUD")
        assert await refused(wrong) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["filter"])
    others = (SEARCHABLES[0], Searchable(SEARCHABLES[1].kind, _more_fields), SEARCHABLES[2])
    async with service(replace(BLUEPRINT, searchables=others), nats, postgres, tmp_path, schema=schema) as live:
        await live.rooms.resources.catch_up()
        reply = await Office(live).ListModels(parent=PROJECT_NAME, filter="shout = FRAUD")
        assert [one.name for one in reply.models] == [MODEL_NAME]
