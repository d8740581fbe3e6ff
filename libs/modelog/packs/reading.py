"""What packs are made of, read: states as of one revision, and the facts up to it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from modelog.archive.v1.archive_service_pb2 import GetHistoryRequest, ListHoldsRequest
from modelog.archive.v1.retention_service_pb2 import ListRetentionsRequest
from modelog.archive.v1.types_pb2 import FactFilter
from modelog.deployment.v1 import deployment_service_pb2 as deployment
from modelog.monitoring.v1 import monitoring_service_pb2 as monitoring
from modelog.monitoring.v1.pictures_pb2 import GetSeriesRequest, GetSeriesResponse
from modelog.packs.scope import Selection
from modelog.registry.v1 import registry_service_pb2 as registry
from modelog.registry.v1.cards_pb2 import GetModelCardRequest, ModelCard
from modelog.sdk.facts import Entry
from modelog.sdk.paging import pages
from modelog.sdk.session import AsOf
from modelog.sdk.sync_client import SyncClient
from modelog.texts import UNAVAILABLE
from modelog.type.v1.read_pb2 import ReadOptions

_MOST_PROJECTS = 64  # In one filter of facts.


class NothingThere(ValueError):
    """There is nothing to make a pack of, or not all of it; the message says what to do instead."""


class Reading:
    """Everything as of one revision. Use it as `with`; `client` stays open, for it belongs to the caller."""

    def __init__(self, client: SyncClient, revision: int) -> None:
        self.client = client
        self.revision = revision
        self.then = client.as_of(revision)

    def __enter__(self) -> "Reading":
        return self

    def __exit__(self, *_error: object) -> None:
        self.then.close()

    def projects(self, names: Sequence[str]) -> list[Any]:
        """These, or all that the caller may see when none is named; by name."""
        if names:
            return [self.then.registry.GetProject(registry.GetProjectRequest(name=name)) for name in sorted(set(names))]
        return list(pages(self.then.registry.ListProjects, registry.ListProjectsRequest()))

    def models(self, project: str) -> list[Any]:
        return list(pages(self.then.registry.ListModels, registry.ListModelsRequest(parent=project)))

    def model(self, name: str) -> Any:
        return self.then.registry.GetModel(registry.GetModelRequest(name=name))

    def versions(self, model: str) -> list[Any]:
        """In order of their numbers. model: `projects/risk/models/-` for those of all models."""
        found = pages(self.then.registry.ListVersions, registry.ListVersionsRequest(parent=model))
        return sorted(found, key=_by_number)

    def endpoints(self, project: str) -> list[Any]:
        return list(pages(self.then.deployment.ListEndpoints, deployment.ListEndpointsRequest(parent=project)))

    def serving(self, project: str, **narrowed: Any) -> list[Any]:
        """Who answered when with which share. narrowed: fields of the request, for example model or endpoint."""
        request = deployment.ListServingIntervalsRequest(parent=project, **narrowed)
        return list(pages(self.then.deployment.ListServingIntervals, request))

    def rollouts(self, project: str) -> list[Any]:
        request = deployment.ListRolloutsRequest(parent=f"{project}/endpoints/-")
        return sorted(pages(self.then.deployment.ListRollouts, request), key=_by_number)

    def alerts(self, project: str) -> list[Any]:
        request = monitoring.ListAlertsRequest(parent=f"{project}/monitors/-")
        return sorted(pages(self.then.monitoring.ListAlerts, request), key=_by_number)

    def retentions(self, project: str) -> list[Any]:
        return list(pages(self.then.retentions.ListRetentions, ListRetentionsRequest(parent=project)))

    def holds(self, project: str) -> list[Any]:
        return list(pages(self.then.archive.ListHolds, ListHoldsRequest(parent=project)))

    def monitors(self, project: str) -> list[Any]:
        return list(pages(self.then.monitoring.ListMonitors, monitoring.ListMonitorsRequest(parent=project)))

    def series(self, monitor: str, **narrowed: Any) -> GetSeriesResponse:
        """Values of a monitor's checks by window. narrowed: fields of the request, for example start_time."""
        reply: GetSeriesResponse = self.then.monitoring.GetSeries(GetSeriesRequest(name=monitor, **narrowed))
        return reply

    def card(self, version: str) -> ModelCard:
        reply: ModelCard = self.then.registry.GetModelCard(GetModelCardRequest(name=version))
        return reply

    def retrainings(self, project: str) -> list[Any]:
        request = monitoring.ListRetrainingsRequest(parent=f"{project}/monitors/-")
        return sorted(pages(self.then.monitoring.ListRetrainings, request), key=_by_number)

    def facts(self, selection: Selection) -> list[Entry]:
        """What a selection chooses from, up to the revision, in order of the log, with the words of people in place."""
        projects, kinds = selection.projects, selection.kinds
        found: list[Entry] = []
        for begin in range(0, len(projects), _MOST_PROJECTS):
            chosen = FactFilter(projects=projects[begin : begin + _MOST_PROJECTS], event_types=kinds)
            found += self.client.subscribe(1, chosen, to_revision=self.revision, follow=False, with_texts=True)
        if any(UNAVAILABLE in entry.texts.values() for entry in found):
            raise NothingThere("the words of people, which lie beside the log, cannot be read now; try again")
        return sorted(found, key=lambda entry: entry.revision)


def revision_at(client: SyncClient, at: AsOf | None, projects: Sequence[str] = ()) -> int:
    """The last revision of some projects, or of the whole log, at a moment; now when it is None.

    NothingThere when nothing was recorded by then. A revision is taken as it is when the log goes as far.
    """
    head = client.catch_up("archive")
    if isinstance(at, int):
        if at > head:
            raise NothingThere(f"the log ends at revision {head}; say that or an earlier one")
        return at
    read = ReadOptions()
    if isinstance(at, datetime):
        read.as_of_time.FromDatetime(at)
    newest = 0
    for name in projects or [""]:
        asked = GetHistoryRequest(name=name, below=True, descending=True, page_size=1, read=read)
        newest = max([newest, *(one.revision for one in client.archive.GetHistory(asked).entries)])
    if not newest:
        where = f"of {', '.join(projects)} " if projects else ""
        raise NothingThere(f"nothing {where}was recorded by then; say a later time, or a revision")
    return newest


def _by_number(message: Any) -> list[tuple[int, int, str]]:
    """Names in the order of people: version 10 behind version 9."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in message.name.split("/")]
