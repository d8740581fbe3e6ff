"""What is asked of every method that reads folded states, to hold its answers as of a moment against those of then."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from modelog.archive.v1 import archive_service_pb2 as archive
from modelog.archive.v1 import erasure_service_pb2 as erasures
from modelog.archive.v1 import evidence_requests_pb2 as evidence
from modelog.archive.v1 import moments_pb2 as moments
from modelog.archive.v1 import records_pb2 as records
from modelog.archive.v1 import retention_service_pb2 as retention
from modelog.archive.v1 import subscription_service_pb2 as subscriptions
from modelog.deployment.v1 import deployment_service_pb2 as deployment
from modelog.deployment.v1 import people_pb2 as people
from modelog.monitoring.v1 import alerts_pb2 as alerts
from modelog.monitoring.v1 import explanations_pb2 as explanations
from modelog.monitoring.v1 import monitoring_service_pb2 as monitoring
from modelog.monitoring.v1 import pictures_pb2 as pictures
from modelog.monitoring.v1 import retrainings_pb2 as retrainings
from modelog.monitoring.v1 import simulations_pb2 as simulations
from modelog.registry.v1 import artifacts_pb2 as artifacts
from modelog.registry.v1 import cards_pb2 as cards
from modelog.registry.v1 import collaboration_service_pb2 as collaboration
from modelog.registry.v1 import declare_pb2 as declare
from modelog.registry.v1 import governance_pb2 as governance
from modelog.registry.v1 import registry_service_pb2 as registry
from modelog.registry.v1 import search_pb2 as search
from modelog.registry.v1 import webhook_service_pb2 as webhooks
from modelog.state.v1 import state_service_pb2 as states

# Methods that take ReadOptions and refuse as_of with AS_OF_UNSUPPORTED, each with why it has no past.
WITHOUT_PAST: Mapping[str, str] = {
    "modelog.deployment.v1.DeploymentService.CheckRollout": "it asks what would be answered now",
    "modelog.deployment.v1.DeploymentService.WatchRollout": "a live stream; GetRollout reads the past",
    "modelog.monitoring.v1.MonitoringService.ListRejectedBatches": "telemetry is no part of the log, and is not kept",
    "modelog.archive.v1.ArchiveService.GetInclusionProof": "`size` says as of which log",
    "modelog.archive.v1.ArchiveService.GetConsistencyProof": "its sizes say as of which logs",
    "modelog.archive.v1.ArchiveService.GetRecordCosts": "how much is stored now, at the price of now",
    "modelog.archive.v1.ArchiveService.ExportBundle": "`to_revision` says as of which log",
}
# Methods that take no ReadOptions although they read: nothing that they tell is folded from the log.
WITHOUT_READ: Mapping[str, str] = {
    "modelog.registry.v1.WebhookService.ListDeliveries": "attempts to deliver, kept for a while",
    "modelog.deployment.v1.DeploymentService.GetEndpointStatus": "a look at what runs now",
    "modelog.deployment.v1.DeploymentService.WatchEndpoint": "the same as a live stream",
    "modelog.deployment.v1.DeploymentService.ReadReplicaLogs": "what processes print, as a live stream",
    "modelog.archive.v1.ArchiveService.ReadFacts": "the log itself, from and to any revision",
    "modelog.archive.v1.ArchiveService.GetRecordFile": "bytes that were sealed, which never change",
    "modelog.archive.v1.ArchiveService.GetCheckpoint": "`size` or `covering_revision` say which",
    "modelog.archive.v1.ArchiveService.ListCheckpoints": "checkpoints never change; they are listed by size",
    "modelog.archive.v1.ArchiveService.GetNotary": "health of the notary and the witness",
    "modelog.archive.v1.ArchiveService.Scrub": "compares the stores as they are",
    "modelog.archive.v1.ArchiveService.ListAccessRecords": "records of access, kept beside the log",
    "modelog.archive.v1.SubscriptionService.GetSubscriptionProgress": "how far consumers have come, which is no fact",
    "modelog.archive.v1.SubscriptionService.PullFacts": "hands out work",
    "modelog.archive.v1.SubscriptionService.AcknowledgeFacts": "moves a place in the log",
    "modelog.archive.v1.SubscriptionService.ExtendDeadline": "keeps a batch for longer",
    "modelog.status.v1.StatusService.GetStatus": "health of a process",
    "modelog.status.v1.StatusService.CompareViews": "compares the views as they are",
    "modelog.status.v1.StatusService.WhoAmI": "who calls",
}

Names = Mapping[str, Sequence[str]]
Ask = Callable[[Names], Iterator[Any]]
_MOST = 500


class Question(NamedTuple):
    """requests: all that is asked in an installation with these resources, by kind."""

    service: str
    requests: Ask


def _of(kind: str, request: Any, **more: Any) -> Ask:
    """Asks about each resource of a kind, by the field `name`."""
    return lambda names: (request(name=name, **more) for name in names.get(kind, ()))


def _below(kind: str, request: Any, **more: Any) -> Ask:
    """Asks for what lies below each resource of a kind, by the field `parent`."""
    return lambda names: (request(parent=name, page_size=_MOST, **more) for name in names.get(kind, ()))


def _each(*asks: Ask) -> Ask:
    return lambda names: (one for ask in asks for one in ask(names))


def _once(request: Any) -> Ask:
    return lambda _names: iter([request])


def _compared(names: Names) -> Iterator[Any]:
    versions = names["version"]
    for first, second in pairwise(versions):
        yield registry.CompareVersionsRequest(names=[first, second], include_facts=True)


def _access(names: Names) -> Iterator[Any]:
    for principal in ("users/ada", "users/rui", "users/otto", "users/eva"):
        for project in names["project"]:
            for permission in ("registry.models.get", "registry.versions.register", "registry.reviews.submit"):
                yield registry.CheckAccessRequest(principal=principal, permission=permission, resource=project)


def _windows(request: Any, **more: Any) -> Ask:
    numbers = (1, 5, 12)
    return lambda names: (request(name=name, window=number, **more) for name in names["monitor"] for number in numbers)


def _every_parent(kind: str, request: Any, **more: Any) -> Ask:
    """`-` in place of the parent's id: in every one of a project."""
    return lambda names: (
        request(parent=f"{project}/{kind}/-", page_size=_MOST, **more) for project in names["project"]
    )


_REGISTRY = {
    "GetProject": _of("project", registry.GetProjectRequest),
    "ListProjects": _once(registry.ListProjectsRequest(page_size=_MOST)),
    "CheckAccess": _access,
    "ReviewAccess": _of("project", registry.ReviewAccessRequest),
    "GetModel": _of("model", registry.GetModelRequest),
    "ListModels": _each(
        _below("project", registry.ListModelsRequest),
        _below("project", registry.ListModelsRequest, order_by="update_time desc"),
    ),
    "Search": _each(
        _once(search.SearchRequest(query="tumor", page_size=_MOST)),
        _once(search.SearchRequest(filter="stage = retired", page_size=_MOST)),
    ),
    "ListAliasMoves": _below("model", declare.ListAliasMovesRequest),
    "GetVersion": _of("version", registry.GetVersionRequest),
    "ListVersions": _each(
        _below("model", registry.ListVersionsRequest),
        _below("model", registry.ListVersionsRequest, filter="generation > 2", order_by="generation desc"),
        _every_parent("models", registry.ListVersionsRequest),
    ),
    "ListDerivedVersions": _of("version", artifacts.ListDerivedVersionsRequest),
    "ListProvenance": _of("version", artifacts.ListProvenanceRequest),
    "GetModelCard": _of("version", cards.GetModelCardRequest),
    "CheckTransition": _each(
        _of("version", registry.CheckTransitionRequest, to_stage="testing"),
        _of("version", registry.CheckTransitionRequest, to_stage="production"),
    ),
    "ReplayVerdict": _of("version", governance.ReplayVerdictRequest, to_stage="production"),
    "ListDeprecatedVersions": _below("model", governance.ListDeprecatedVersionsRequest),
    "GetDependents": _of("version", governance.GetDependentsRequest),
    "CompareVersions": _compared,
}
_COLLABORATION = {
    "GetThread": _of("thread", collaboration.GetThreadRequest),
    "ListThreads": _each(
        _below("model", collaboration.ListThreadsRequest), _every_parent("models", collaboration.ListThreadsRequest)
    ),
    "ListWatches": _below("project", collaboration.ListWatchesRequest),
    "ListTasks": _below("project", collaboration.ListTasksRequest),
    "ListActivity": _below("project", collaboration.ListActivityRequest),
}
_WEBHOOKS = {
    "GetWebhook": _of("webhook", webhooks.GetWebhookRequest),
    "ListWebhooks": _below("project", webhooks.ListWebhooksRequest),
}
_DEPLOYMENT = {
    "GetEnvironment": _of("environment", deployment.GetEnvironmentRequest),
    "ListEnvironments": _below("project", deployment.ListEnvironmentsRequest),
    "GetEndpoint": _of("endpoint", deployment.GetEndpointRequest),
    "GetManifest": _of("endpoint", deployment.GetManifestRequest),
    "ListEndpoints": _below("project", deployment.ListEndpointsRequest),
    "GetRollout": _of("rollout", deployment.GetRolloutRequest),
    "ListRollouts": _each(
        _below("endpoint", deployment.ListRolloutsRequest),
        _every_parent("endpoints", deployment.ListRolloutsRequest),
    ),
    "ListServingIntervals": _each(
        _below("project", deployment.ListServingIntervalsRequest),
        _below("project", deployment.ListServingIntervalsRequest, include_gaps=True, descending=True),
    ),
    "ListRepairs": _below("endpoint", people.ListRepairsRequest),
}
_MONITORING = {
    "GetMonitor": _of("monitor", monitoring.GetMonitorRequest),
    "ListMonitors": _below("project", monitoring.ListMonitorsRequest),
    "ListWindows": _below("monitor", monitoring.ListWindowsRequest),
    "ExplainWindow": _windows(explanations.ExplainWindowRequest),
    "SimulateMonitor": lambda names: (
        simulations.SimulateMonitorRequest(name=name, start_time={"seconds": 1}) for name in names["monitor"]
    ),
    "ReevaluateWindow": _windows(monitoring.ReevaluateWindowRequest),
    "GetDistributions": _windows(pictures.GetDistributionsRequest),
    "GetSeries": _of("monitor", pictures.GetSeriesRequest),
    "GetAlert": _of("alert", monitoring.GetAlertRequest),
    "ListAlerts": _below("monitor", monitoring.ListAlertsRequest),
    "GetRetraining": _of("retraining", monitoring.GetRetrainingRequest),
    "ListRetrainings": _below("monitor", monitoring.ListRetrainingsRequest),
    "GetRetirement": _of("retirement", retrainings.GetRetirementRequest),
    "ListRetirements": _below("monitor", retrainings.ListRetirementsRequest),
    "RerunAlert": _of("alert", alerts.RerunAlertRequest),
    "GetSilence": _of("silence", alerts.GetSilenceRequest),
    "ListSilences": _below("project", alerts.ListSilencesRequest),
}
_ARCHIVE = {
    "GetRecord": _of("record", archive.GetRecordRequest),
    "ListRecords": _below("project", archive.ListRecordsRequest),
    "VerifyRecord": _of("record", archive.VerifyRecordRequest),
    "GetRecordContents": _of("record", records.GetRecordContentsRequest),
    "GetHold": _of("hold", archive.GetHoldRequest),
    "ListHolds": _below("project", archive.ListHoldsRequest),
    "GetHistory": _each(
        _of("project", archive.GetHistoryRequest, below=True, page_size=200),
        _of("model", archive.GetHistoryRequest, descending=True, page_size=200),
    ),
    "ExplainFact": _each(_of("version", evidence.ExplainFactRequest), _of("rollout", evidence.ExplainFactRequest)),
    "LocateMoment": _once(moments.LocateMomentRequest()),
}
_SUBSCRIPTIONS = {
    "GetSubscription": _of("subscription", subscriptions.GetSubscriptionRequest),
    "ListSubscriptions": _below("project", subscriptions.ListSubscriptionsRequest),
}
_ERASURES = {
    "GetErasure": _of("erasure", erasures.GetErasureRequest),
    "ListErasures": _below("project", erasures.ListErasuresRequest),
}
_RETENTION = {
    "GetRetention": _of("retention", retention.GetRetentionRequest),
    "ListRetentions": _below("project", retention.ListRetentionsRequest),
    "PreviewExpiry": _below(
        "project", retention.PreviewExpiryRequest, include_kept=True, until_time={"seconds": 4_000_000_000}
    ),
    "ListHeld": lambda names: (retention.ListHeldRequest(name=name, page_size=_MOST) for name in names["hold"]),
    "ListRecordErasures": _below("project", retention.ListRecordErasuresRequest),
}
_STATES = {
    "ListStates": _each(_once(states.ListStatesRequest(page_size=_MOST)), _below("project", states.ListStatesRequest)),
    "ListChanges": _each(
        _once(states.ListChangesRequest(page_size=_MOST)), _below("project", states.ListChangesRequest, from_revision=9)
    ),
}


def _questions() -> Iterator[tuple[str, Question]]:
    for service, package, name, asks in (
        ("registry", "registry", "RegistryService", _REGISTRY),
        ("registry", "registry", "CollaborationService", _COLLABORATION),
        ("registry", "registry", "WebhookService", _WEBHOOKS),
        ("deployment", "deployment", "DeploymentService", _DEPLOYMENT),
        ("monitoring", "monitoring", "MonitoringService", _MONITORING),
        ("archive", "archive", "ArchiveService", _ARCHIVE),
        ("archive", "archive", "SubscriptionService", _SUBSCRIPTIONS),
        ("archive", "archive", "ErasureService", _ERASURES),
        ("archive", "archive", "RetentionService", _RETENTION),
        ("*", "state", "StateService", _STATES),
    ):
        for method, requests in asks.items():
            yield f"modelog.{package}.v1.{name}.{method}", Question(service, requests)


# By the full name of the method; service `*`: each of them is asked.
QUESTIONS: Mapping[str, Question] = dict(_questions())
