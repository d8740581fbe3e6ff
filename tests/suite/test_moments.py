"""Whatever is read as of a moment is what was answered when that moment was now: over a log of all four services.

A moment is made by services that know the log up to there and no more. They fold and answer, and nothing else: what a
reactor or a controller would add is in the log already.
"""

import hashlib
import importlib
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from kernel.rooms import Blueprint
from modelog.archive.v1 import archive_service_pb2 as archive
from modelog.archive.v1 import subscription_service_pb2 as subscriptions
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import alerts_pb2 as alerts
from modelog.registry.v1 import collaboration_service_pb2 as collaboration
from modelog.registry.v1 import registry_service_pb2 as registry
from modelog.registry.v1.cards_pb2 import ModelCard
from modelog.sdk.errors import Refused, refused
from modelog.sdk.paging import items
from modelog.state.v1 import state_service_pb2 as states
from modelog.type.v1.read_pb2 import ReadOptions
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import Live, actor, log_server, service
from tests.suite import history
from tests.suite.questions import QUESTIONS, WITHOUT_PAST, Names

SERVICES = ("registry", "deployment", "monitoring", "archive")
PEOPLE = ("users/ada", "users/rui")
_numbers = count(1)


@dataclass(frozen=True)
class World:
    """The four services over one log."""

    log: NatsServer
    lives: Mapping[str, Live]

    async def call(self, where: str, method: str, request: Any, by: str = "users/ada") -> Any:
        """The reply of a method by its full name; Refused."""
        path = "/{}/{}".format(*method.rsplit(".", 1))
        descriptor = _descriptor(method)
        unary: Any = self.lives[where].channel.unary_unary(
            path,
            request_serializer=lambda one: one.SerializeToString(),
            response_deserializer=GetMessageClass(descriptor.output_type).FromString,
        )
        try:
            return await unary(request, timeout=20, metadata=actor(by))
        except grpc.aio.AioRpcError as error:
            raise refused(error) from error

    async def caught_up(self) -> int:
        return max([await live.rooms.resources.catch_up() for live in self.lives.values()])

    async def names(self) -> Names:
        """Every resource by its kind."""
        found: dict[str, list[str]] = {}
        for where in SERVICES:
            asked = states.ListStatesRequest(page_size=500, read=ReadOptions(as_of_revision=await self.caught_up()))
            reply = await self.call(where, "modelog.state.v1.StateService.ListStates", asked)
            assert not reply.next_page_token
            for one in reply.states:
                found.setdefault(one.kind, []).append(one.name)
        return found

    async def answers(self, names: Names, read: ReadOptions) -> dict[str, Any]:
        """All that can be asked, and what was answered: the pages of the reply, or why there is none."""
        answered: dict[str, Any] = {}
        for method, question in QUESTIONS.items():
            for request in question.requests(names):
                request.read.CopyFrom(read)
                for where in SERVICES if question.service == "*" else (question.service,):
                    for by in PEOPLE if method.endswith(("Tasks", "Activity", "Watches")) else PEOPLE[:1]:
                        asked = type(request).FromString(request.SerializeToString())
                        asked.ClearField("read")
                        key = f"{method} {where} {by} {asked}"
                        answered[key] = await self.answer(where, method, request, by)
        return answered

    async def answer(self, where: str, method: str, request: Any, by: str) -> Any:
        pages: list[bytes] = []
        try:
            while True:
                reply = await self.call(where, method, request, by)
                token = getattr(reply, "next_page_token", "")
                if token:
                    reply.ClearField("next_page_token")
                    request.page_token = token
                pages.append(reply.SerializeToString(deterministic=True))
                if not token:
                    return pages
        except Refused as refusal:
            return refusal.code, refusal.reason, refusal.metadata


def _descriptor(method: str) -> Any:
    package, name, rpc = method.rsplit(".", 2)
    stem = name.removesuffix("Service").lower()
    module = importlib.import_module(f"{package}.{stem}_service_pb2")
    return module.DESCRIPTOR.services_by_name[name].methods_by_name[rpc]


@asynccontextmanager
async def world(
    messages: Sequence[history.Message],
    postgres: PostgresServer,
    folder: Path,
    texts: Sequence[history.Message] = (),
) -> AsyncIterator[World]:
    """texts: words that lie beside the log, for these facts or later ones."""
    number = next(_numbers)
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(log_server(folder / f"world{number}"))
        await history.append(log, messages)
        await history.append(log, texts)
        lives = {}
        for name in SERVICES:
            blueprint: Blueprint = importlib.import_module(f"services.{name}.__main__").BLUEPRINT
            running = service(
                blueprint,
                log,
                postgres,
                folder / f"world{number}",
                schema=f"{name}_world_{number}",
                roles="rpc,projector",
                data_dir=str(folder / "data"),  # The same for all: what is read from it is as it is now.
            )
            lives[name] = await stack.enter_async_context(running)
        made = World(log, lives)
        await made.caught_up()
        yield made


async def goes_on(world: World, names: Names) -> None:
    """Kinds of facts that the play has none of, each followed by another of the same resource."""
    project = "projects/oncology"
    model, monitor = names["model"][0], names["monitor"][0]

    async def call(where: str, service_: str, request: Any, by: str = "users/ada") -> Any:
        method = request.DESCRIPTOR.name.removesuffix("Request")
        reply = await world.call(where, f"modelog.{where}.v1.{service_}.{method}", request, by)
        await world.caught_up()
        return reply

    hold = archive.PlaceHoldRequest(
        parent=project, hold_id="inquiry", resources=[model], title="Inquiry", authority="court"
    )
    held = await call("archive", "ArchiveService", hold)
    await call("archive", "ArchiveService", archive.ReleaseHoldRequest(name=held.name, reason="over"))
    made = await call(
        "archive",
        "SubscriptionService",
        subscriptions.CreateSubscriptionRequest(parent=project, subscription_id="warehouse"),
    )
    await call("archive", "SubscriptionService", subscriptions.PauseSubscriptionRequest(name=made.name))
    until = Timestamp()
    until.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    silence = alerts.CreateSilenceRequest(parent=project, monitor=monitor, end_time=until, reason="works")
    silenced = await call("monitoring", "MonitoringService", silence)
    await call("monitoring", "MonitoringService", alerts.EndSilenceRequest(name=silenced.name, reason="done"))
    watch = collaboration.SetWatchRequest(name=model)
    await call("registry", "CollaborationService", watch, "users/rui")
    team = collaboration.DefineTeamRequest(name=project, team="doctors", definition={"members": ["users/rui"]})
    await call("registry", "CollaborationService", team)
    thread = collaboration.OpenThreadRequest(parent=model, target={"name": model}, title="Why", body="@teams/doctors?")
    await call("registry", "CollaborationService", thread)
    owners: Any = {"details": {"owners": ["users/rui"]}, "update_mask": {"paths": ["owners"]}}
    await call("registry", "RegistryService", registry.UpdateModelRequest(name=model, **owners))
    tag = registry.SetTagRequest(name=names["version"][1], key="risk", value="high")
    await call("registry", "RegistryService", tag)


def times_of(messages: Sequence[history.Message]) -> list[datetime]:
    return [Fact.FromString(payload).recorded_at.ToDatetime(tzinfo=UTC) for _, payload in messages]


def unnumbered(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Without the revision that a card is of: as of a time it is that of the newest fact in it."""
    found = dict(answers)
    for asked, answer in answers.items():
        if ".GetModelCard " in asked and isinstance(answer, list):
            card = ModelCard.FromString(answer[0])
            card.ClearField("as_of_revision")
            found[asked] = [card.SerializeToString(deterministic=True)]
    return found


def wrong(then: Mapping[str, Any], later: Mapping[str, Any]) -> list[str]:
    assert then.keys() == later.keys()
    return [asked for asked, answer in then.items() if later[asked] != answer]


@pytest.mark.timeout(300)
async def test_every_read_of_the_past_is_what_was_answered_then(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = history.recorded()
    async with world(recorded, postgres, tmp_path) as everything:
        await goes_on(everything, await everything.names())
        names = await everything.names()
        messages, texts = await history.read(everything.log), await history.read(everything.log, "TEXTS")
        times, first = times_of(messages), len(recorded)
        chance = random.Random(7)
        moments = sorted({*chance.sample(range(20, first), 3), chance.randrange(first, len(messages))})
        for revision in moments:
            with monkeypatch.context() as patched:  # Roles run out, so it has to be then by the clock, too.
                patched.setattr("kernel.service.now", partial(times.__getitem__, revision - 1))
                async with world(messages[:revision], postgres, tmp_path, texts) as past:
                    then = await past.answers(names, ReadOptions(at_least=revision))
            assert sum(isinstance(one, list) for one in then.values()) > len(QUESTIONS), revision
            later = await everything.answers(names, ReadOptions(as_of_revision=revision))
            assert wrong(then, later) == [], f"as of revision {revision}"
            if times[revision - 1] < times[revision]:
                read = ReadOptions()
                read.as_of_time.FromDatetime(times[revision - 1])
                later = await everything.answers(names, read)
                assert wrong(unnumbered(then), unnumbered(later)) == [], f"as of {times[revision - 1]}"


async def test_what_has_no_past_says_so(postgres: PostgresServer, tmp_path: Path) -> None:
    async with world(history.recorded(), postgres, tmp_path) as everything:
        names = await everything.names()
        for method in WITHOUT_PAST:
            descriptor = _descriptor(method)
            request: Any = GetMessageClass(descriptor.input_type)(read=ReadOptions(as_of_revision=9))
            for field, value in _filled(descriptor.name, names).items():
                setattr(request, field, value)
            where = method.split(".")[1]
            call = everything.lives[where].channel
            kind = call.unary_stream if descriptor.server_streaming else call.unary_unary
            reply: Any = kind("/{}/{}".format(*method.rsplit(".", 1)))(
                request.SerializeToString(), timeout=10, metadata=actor("users/ada")
            )
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                _ = [one async for one in reply] if descriptor.server_streaming else await reply
            (violation,) = refused(caught.value).violations
            assert (violation.field, violation.reason) == ("read", "AS_OF_UNSUPPORTED"), method


def _filled(method: str, names: Names) -> dict[str, Any]:
    """What a request needs beside `read`."""
    filled: dict[str, dict[str, Any]] = {
        "CheckRollout": {"name": names["environment"][0], "version": names["version"][0]},
        "WatchRollout": {"name": names["rollout"][0]},
        "ListRejectedBatches": {"parent": names["endpoint"][0]},
        "GetInclusionProof": {"revision": 1},
        "GetConsistencyProof": {"from_size": 1},
        "GetRecordCosts": {"parent": names["project"][0]},
        "ExportBundle": {},
    }
    return filled[method]


async def test_the_state_of_everything_survives_folding_again(postgres: PostgresServer, tmp_path: Path) -> None:
    """The same log in databases that know nothing gives the same states, whole or of a project, at any revision."""
    messages = history.recorded()

    async def digest(here: World, revision: int) -> str:
        digests = hashlib.sha256()
        for where in SERVICES:
            asking = states.ListStatesRequest(page_size=7, read=ReadOptions(as_of_revision=revision))
            while True:
                reply = await here.call(where, "modelog.state.v1.StateService.ListStates", asking)
                for one in items(reply):
                    digests.update(one.SerializeToString(deterministic=True))
                asking.page_token = reply.next_page_token
                if not asking.page_token:
                    break
        return digests.hexdigest()

    revisions = (1, 40, 90, len(messages))
    async with world(messages, postgres, tmp_path) as one, world(messages, postgres, tmp_path) as other:
        found = [await digest(one, revision) for revision in revisions]
        assert found == [await digest(other, revision) for revision in revisions]
        assert len(set(found)) == len(revisions)
