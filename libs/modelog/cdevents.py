"""A fact as a CDEvent (cdevents.dev, specification 0.4.1), where continuous delivery knows such an event.

`KINDS` says which facts have a counterpart; the others have none and are left out. Ids are full names of resources, but
artifacts are package URLs, as the specification asks: version 3 of model fraud is `pkg:generic/risk/fraud@3`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

from modelog.archive.v1.record_erasures_pb2 import ARTIFACT_OUTCOME_GONE
from modelog.log.v1.fact_pb2 import Fact
from modelog.provenance.envelopes import BadEnvelope, opened
from modelog.sdk.facts import event_of

VERSION = "0.4.1"
CONTENT_TYPE = "application/json"


class Around(Protocol):
    """What a fact does not say itself, as it was before the fact at `revision`; empty where it cannot be known."""

    def environment(self, endpoint: str, revision: int) -> str:
        """The name of the environment that an endpoint is in."""

    def endpoint(self, alert: str, revision: int) -> str:
        """The name of the endpoint that an alert is about."""


class _Fact(NamedTuple):
    resource: str
    event: Any
    actor: str
    revision: int
    around: Around


class Kind(NamedTuple):
    """type: without the common beginning and with its version, or what tells it by the event. content: empty content is
    content; None where the specification asks for something that is not known."""

    type: str | Callable[[Any], str]
    subject: str
    content: Callable[[_Fact], dict[str, Any] | None]
    id: Callable[[_Fact], str] = lambda fact: fact.resource


def cd_event(fact: Fact, revision: int, around: Around) -> dict[str, Any] | None:
    """The same fact always makes the same event; None where there is no counterpart."""
    kind = KINDS.get(fact.event.type_url.rpartition("/")[2].removeprefix("modelog."))
    event = event_of(fact) if kind else None
    if kind is None or event is None:
        return None
    known = _Fact(fact.resource, event, fact.actor.id, revision, around)
    content = kind.content(known)
    if content is None:
        return None
    source = "/" + "/".join(fact.resource.split("/", 2)[:2])
    name = kind.type if isinstance(kind.type, str) else kind.type(event)
    context = {
        "version": VERSION,
        "id": fact.id,
        "source": source,
        "type": f"dev.cdevents.{name}",
        "timestamp": fact.recorded_at.ToJsonString(),
    }
    if fact.correlation_id:
        context["chainId"] = fact.correlation_id
    return {
        "context": context,
        "subject": {"id": kind.id(known), "source": source, "type": kind.subject, "content": content},
        "customData": {
            "revision": str(revision),
            "resource": fact.resource,
            "type": fact.event.type_url.rpartition("/")[2],
            "actor": fact.actor.id,
            "reason": fact.reason,
        },
        "customDataContentType": CONTENT_TYPE,
    }


def package_url(version: str) -> str:
    """`projects/risk/models/fraud/versions/3` as a package URL."""
    _, project, _, model, _, number = version.split("/")
    return f"pkg:generic/{quote(project, safe='')}/{quote(model, safe='')}@{quote(number, safe='')}"


def _signature(fact: _Fact) -> dict[str, Any] | None:
    """The first signature of the recorded envelope, in base64."""
    from base64 import b64encode

    try:
        return {"signature": b64encode(opened(fact.event.envelope).signatures[0].value).decode()}
    except BadEnvelope:
        return None


def _by(fact: _Fact) -> dict[str, Any]:
    return {"user": fact.actor} if fact.actor else {}


def _gone(fact: _Fact) -> dict[str, Any] | None:
    """Only where nothing of the artifact is left in its store."""
    return _by(fact) if fact.event.artifact == ARTIFACT_OUTCOME_GONE else None


def _named(fact: _Fact) -> dict[str, Any]:
    return {"name": fact.resource.rpartition("/")[2]}


def _in_environment(name: str, **more: str) -> dict[str, Any] | None:
    return {"environment": {"id": name}, **more} if name else None


def _serving(version: Callable[[_Fact], str]) -> Callable[[_Fact], dict[str, Any] | None]:
    """A service in its environment, with the artifact that it runs now."""

    def content(fact: _Fact) -> dict[str, Any] | None:
        name = getattr(fact.event, "environment", "") or fact.around.environment(_endpoint(fact), fact.revision)
        running = version(fact)
        return _in_environment(name, artifactId=package_url(running)) if running else None

    return content


def _service(fact: _Fact) -> dict[str, Any] | None:
    return _in_environment(fact.around.environment(_endpoint(fact), fact.revision))


def _incident(fact: _Fact) -> dict[str, Any] | None:
    endpoint = getattr(fact.event, "endpoint", "") or fact.around.endpoint(fact.resource, fact.revision)
    content = _in_environment(fact.around.environment(endpoint, fact.revision)) if endpoint else None
    if content is None:
        return None
    content["service"] = {"id": endpoint}
    if version := getattr(fact.event, "version", ""):
        content["artifactId"] = package_url(version)
    if check := getattr(fact.event, "check", "") or getattr(fact.event, "rule", ""):
        content["description"] = f"{check} of {fact.resource.rpartition('/alerts/')[0]}"
    return content


def _endpoint(fact: _Fact) -> str:
    """The endpoint that a fact of it or of one of its rollouts is about."""
    return fact.resource.partition("/rollouts/")[0]


def _task(**more: str) -> Callable[[_Fact], dict[str, Any]]:
    return lambda fact: {"taskName": "retraining", **more}


KINDS: Mapping[str, Kind] = {
    "registry.v1.VersionRegistered": Kind(
        "artifact.published.0.2.0",
        "artifact",
        _by,
        lambda fact: package_url(fact.resource),
    ),
    "registry.v1.ProvenanceRecorded": Kind(
        "artifact.signed.0.2.0", "artifact", _signature, lambda fact: package_url(fact.resource)
    ),
    "archive.v1.RecordErased": Kind(
        "artifact.deleted.0.1.0", "artifact", _gone, lambda fact: package_url(fact.event.version)
    ),
    "deployment.v1.EnvironmentDefined": Kind("environment.created.0.2.0", "environment", _named),
    "deployment.v1.EnvironmentChanged": Kind("environment.modified.0.2.0", "environment", _named),
    "deployment.v1.EnvironmentRemoved": Kind("environment.deleted.0.2.0", "environment", _named),
    "deployment.v1.RolloutSucceeded": Kind(
        lambda event: "service.upgraded.0.2.0" if event.previous_version else "service.deployed.0.2.0",
        "service",
        _serving(lambda fact: str(fact.event.version)),
        _endpoint,
    ),
    "deployment.v1.RolledBack": Kind(
        "service.rolledback.0.2.0", "service", _serving(lambda fact: str(fact.event.restored_version)), _endpoint
    ),
    "deployment.v1.EndpointAddressed": Kind("service.published.0.2.0", "service", _service),
    "deployment.v1.EndpointRemoved": Kind("service.removed.0.2.0", "service", _service),
    "monitoring.v1.AlertRaised": Kind("incident.detected.0.2.0", "incident", _incident),
    "monitoring.v1.AlertReopened": Kind("incident.detected.0.2.0", "incident", _incident),
    "monitoring.v1.AlertResolved": Kind("incident.resolved.0.2.0", "incident", _incident),
    "monitoring.v1.RetrainingStarted": Kind("taskrun.started.0.2.0", "taskRun", _task()),
    "monitoring.v1.RetrainingAnswered": Kind("taskrun.finished.0.2.0", "taskRun", _task(outcome="success")),
    "monitoring.v1.RetrainingAbandoned": Kind("taskrun.finished.0.2.0", "taskRun", _task(outcome="failure")),
}
