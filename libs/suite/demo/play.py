"""Plays the seven steps on a suite of its own, from the first start to the report."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from modelog.archive.v1.archive_service_pb2 import GetNotaryRequest
from modelog.registry.v1.registry_service_pb2 import ListProjectsRequest
from modelog.sdk import Client, connect, pages
from suite.demo import answering, approving, auditing, granting, registering, retiring, serving, states, train, watching
from suite.demo.journal import Journal
from suite.demo.report import Report
from suite.demo.screen import Screen
from suite.demo.stage import ADMINISTRATORS, EVA, Names, People, Stage
from suite.demo.tidying import end_earlier_plays
from suite.suite import SERVICES, Member, Suite

STEPS: tuple[tuple[str, Callable[[Stage], Awaitable[str]]], ...] = (
    ("Train and register", registering.play),
    ("Document, review, promote", approving.play),
    ("Serve", serving.play),
    ("Watch", watching.play),
    ("Replace", answering.play),
    ("Retire", retiring.play),
    ("Audit", auditing.play),
)
_PROJECT = "oncology"
# Long enough for the audit to stop and start the service; inference servers end this long after the demo.
_LEASE_SECONDS = 10


async def play(folder: Path, report: Report, screen: Screen) -> None:
    """Fills the report. Raises what kept it from being played to the end."""
    services = dict(SERVICES)
    services["deployment"] = Member("services.deployment", {"lease_seconds": str(_LEASE_SECONDS)})
    suite = Suite(
        folder,
        services=services,
        identity="roles",
        administrators=ADMINISTRATORS,
        say=lambda name, what: screen.note(f"{name} {what}"),
    )
    running = AsyncExitStack()
    try:
        with screen.doing("starting NATS, Postgres, the four services and Envoy"):
            # Loading scikit-learn takes as long as starting the suite does.
            parts = asyncio.create_task(asyncio.to_thread(train.parts))
            await running.enter_async_context(suite)
        stage = await _stage(running, suite, report, screen, await parts)
        await _steps(stage, screen)
    finally:
        with screen.doing("stopping everything"):
            await running.aclose()


async def _stage(running: AsyncExitStack, suite: Suite, report: Report, screen: Screen, parts: train.Parts) -> Stage:
    """A client, a project of its own, and the log's ear at the keyhole; all closed with `running`."""
    addresses, by = suite.addresses, People(suite.issuer)
    client = await running.enter_async_context(
        connect(
            registry=addresses["registry"],
            deployment=addresses["deployment"],
            monitoring=addresses["monitoring"],
            archive=addresses["archive"],
            token=lambda: by.token(EVA),
        )
    )
    await granting.open_house(client, by)
    await end_earlier_plays(client, by)
    report.project = await _project(client)
    stage = Stage(
        suite=suite,
        client=client,
        by=by,
        journal=await running.enter_async_context(Journal(client, await states.head(client) + 1)),
        report=report,
        names=Names(report.project),
        parts=parts,
        folder=suite.folder.parent / "work" / report.project.rpartition("/")[2],
        note=screen.note,
    )
    stage.seen.vkey = await _key(client)
    return stage


async def _steps(stage: Stage, screen: Screen) -> None:
    report, journal = stage.report, stage.journal
    report.begin_time = datetime.now(UTC).isoformat(timespec="seconds")
    report.steps_planned = len(STEPS)
    began = time.monotonic()
    for number, (title, step) in enumerate(STEPS, 1):
        position, started = journal.position, time.monotonic()
        with screen.doing(f"{number} {title}"):
            summary = await step(stage)
            if number < len(STEPS):
                await journal.reach(stage.client.revision)
        entries = [entry for entry in journal.between(position, journal.position) if stage.names.own(entry)]
        screen.step(report.step(title, summary, time.monotonic() - started, entries))
        report.seconds = round(time.monotonic() - began, 3)


async def _key(client: Client) -> str:
    """The log's public key, taken down before anything is played: evidence is verified with nothing younger."""
    notary = await client.archive.GetNotary(GetNotaryRequest())
    return notary.keys[-1].vkey


async def _project(client: Client) -> str:
    """A name that no earlier play has taken: oncology, oncology-2, and so on."""
    taken = {project.name async for project in pages(client.registry.ListProjects, ListProjectsRequest())}
    candidates = [f"projects/{_PROJECT}", *(f"projects/{_PROJECT}-{n}" for n in range(2, len(taken) + 3))]
    return next(name for name in candidates if name not in taken)
