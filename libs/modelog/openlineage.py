"""A fact as an OpenLineage run event (openlineage.io, specification 2-0-2), where it tells of a job that ran.

`KINDS` says which facts have a counterpart; the others have none and are left out. Jobs are named after the model or
endpoint, in a namespace for each project, `modelog:projects/risk`; models and endpoints are datasets there. The id of a
run follows from the resource whose life it is, so that its events find each other.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from modelog.log.v1.fact_pb2 import Fact
from modelog.sdk.facts import event_of

PRODUCER = "https://modelog.dev/openlineage/v1"
_SPEC = "https://openlineage.io/spec"
SCHEMA = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACT_FACET = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunFacet"


class _Fact(NamedTuple):
    resource: str
    event: Any

    @property
    def project(self) -> str:
        return "/".join(self.resource.split("/", 2)[:2])


class Run(NamedTuple):
    """What a fact tells of a run. id: what the run's id is made of. is_whole: no other fact tells of its start."""

    type: str
    job: str
    id: str
    inputs: Iterable[dict[str, Any]] = ()
    outputs: Iterable[dict[str, Any]] = ()
    job_facets: Mapping[str, Any] = {}
    error: str = ""
    is_whole: bool = False


def run_events(fact: Fact, revision: int) -> list[dict[str, Any]]:
    """The same fact always makes the same events; none where there is no counterpart.

    Every run has to have started: where a fact tells of a whole run, there are two, both at the time of the fact.
    """
    kind = KINDS.get(fact.event.type_url.rpartition("/")[2].removeprefix("modelog."))
    event = event_of(fact) if kind else None
    if kind is None or event is None:
        return []
    known = _Fact(fact.resource, event)
    run = kind(known)
    said = {"revision": str(revision), "type": fact.event.type_url.rpartition("/")[2], "resource": fact.resource}
    told = {**said, "actor": fact.actor.id, "reason": fact.reason}
    facets = {"modelog_fact": {"_producer": PRODUCER, "_schemaURL": _FACT_FACET, **told}}
    if run.error:
        error = {"message": run.error, "programmingLanguage": "Python"}
        facets["errorMessage"] = _facet("ErrorMessageRunFacet", "1-0-1", **error)
    job: dict[str, Any] = {"namespace": f"modelog:{known.project}", "name": run.job}
    if run.job_facets:
        job["facets"] = dict(run.job_facets)
    ended = {
        "eventType": run.type,
        "eventTime": fact.recorded_at.ToJsonString(),
        "run": {"runId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"modelog:{run.id}")), "facets": facets},
        "job": job,
        "inputs": list(run.inputs),
        "outputs": list(run.outputs),
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
    }
    return [ended | {"eventType": "START"}, ended] if run.is_whole else [ended]


def _facet(name: str, version: str, /, **fields: Any) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": f"{_SPEC}/facets/{version}/{name}.json#/$defs/{name}", **fields}


def model_of(version: str) -> dict[str, Any]:
    """A version of a model as a dataset: the model, at a version."""
    model, _, number = version.partition("/versions/")
    project, name = model.split("/models/")
    facet = _facet("DatasetVersionDatasetFacet", "1-0-1", datasetVersion=number)
    return {"namespace": f"modelog:{project}", "name": f"models/{name}", "facets": {"version": facet}}


def _served(endpoint: str) -> dict[str, Any]:
    project, _, name = endpoint.partition("/endpoints/")
    return {"namespace": f"modelog:{project}", "name": f"endpoints/{name}"}


def data_of(project: str, data: Any) -> dict[str, Any] | None:
    """A data set by the address it was given, as OpenLineage names them; else by its name, in the project."""
    place = urlsplit(data.uri)
    if place.scheme and place.path.strip("/"):
        namespace = f"{place.scheme}://{place.hostname}" if place.hostname else place.scheme
        name = place.path.lstrip("/") if place.hostname else place.path
        made: dict[str, Any] = {"namespace": namespace, "name": name}
    elif data.name or data.sha256:
        made = {"namespace": f"modelog:{project}", "name": f"data/{data.name or data.sha256}"}
    else:
        return None
    if data.sha256:
        digest = f"sha256:{data.sha256}"
        made["facets"] = {"version": _facet("DatasetVersionDatasetFacet", "1-0-1", datasetVersion=digest)}
    return made


def _trained(fact: _Fact) -> Run:
    data = [one for each in fact.event.training_data if (one := data_of(fact.project, each))]
    parent = [model_of(fact.event.parent_version)] if fact.event.parent_version else []
    source = fact.event.source
    facets = {}
    if urlsplit(source.repository).hostname:
        told = {"type": "git", "url": source.repository, "repoUrl": source.repository}
        told |= {"path": source.path, "version": source.commit, "branch": source.branch}
        told = {name: value for name, value in told.items() if value}
        facets = {"sourceCodeLocation": _facet("SourceCodeLocationJobFacet", "1-1-0", **told)}
    job = f"{_name(fact.resource, 'models')}.train"
    return Run("COMPLETE", job, fact.resource, [*data, *parent], [model_of(fact.resource)], facets, is_whole=True)


def _evaluated(fact: _Fact) -> Run:
    data = data_of(fact.project, fact.event.evaluation.data_set)
    job = f"{_name(fact.resource, 'models')}.evaluate"
    run = f"{fact.resource}/evaluations/{fact.event.evaluation_id}"
    return Run("COMPLETE", job, run, [model_of(fact.resource), *([data] if data else [])], is_whole=True)


def _rollout(kind: str) -> Callable[[_Fact], Run]:
    def made(fact: _Fact) -> Run:
        endpoint = fact.resource.partition("/rollouts/")[0]
        inputs = [model_of(fact.event.version)] if fact.event.version else []
        error = getattr(fact.event, "cause", "") or "it says no cause"
        job = f"{_name(fact.resource, 'endpoints')}.rollout"
        told = error if kind in ("FAIL", "ABORT") else ""
        return Run(kind, job, fact.resource, inputs, [_served(endpoint)], error=told)

    return made


def _retraining(kind: str) -> Callable[[_Fact], Run]:
    def made(fact: _Fact) -> Run:
        outputs = [model_of(fact.event.version)] if kind == "COMPLETE" and fact.event.version else []
        job = f"{_name(fact.resource, 'monitors')}.retrain"
        return Run(kind, job, fact.resource, outputs=outputs)

    return made


def _sealing(kind: str) -> Callable[[_Fact], Run]:
    def made(fact: _Fact) -> Run:
        project, _, record = fact.resource.partition("/records/")
        inputs = [model_of(fact.event.version)] if fact.event.version else []
        outputs = [{"namespace": f"modelog:{project}", "name": f"records/{record}"}] if kind == "COMPLETE" else []
        error = fact.event.failure_message or fact.event.failure_reason if kind == "FAIL" else ""
        return Run(kind, f"{record}.seal", fact.resource, inputs, outputs, error=error)

    return made


def _name(resource: str, collection: str) -> str:
    """The id of the model, endpoint or monitor that a resource is or is below."""
    return resource.partition(f"/{collection}/")[2].partition("/")[0]


KINDS: Mapping[str, Callable[[_Fact], Run]] = {
    "registry.v1.VersionRegistered": _trained,
    "registry.v1.EvaluationRecorded": _evaluated,
    "deployment.v1.RolloutStarted": _rollout("START"),
    "deployment.v1.RolloutSucceeded": _rollout("COMPLETE"),
    "deployment.v1.RolloutShadowed": _rollout("COMPLETE"),
    "deployment.v1.RolloutFailed": _rollout("FAIL"),
    "deployment.v1.RolledBack": _rollout("ABORT"),
    "monitoring.v1.RetrainingStarted": _retraining("START"),
    "monitoring.v1.RetrainingAnswered": _retraining("COMPLETE"),
    "monitoring.v1.RetrainingAbandoned": _retraining("ABORT"),
    "archive.v1.ArchivingStarted": _sealing("START"),
    "archive.v1.RecordSealed": _sealing("COMPLETE"),
    "archive.v1.ArchivingFailed": _sealing("FAIL"),
}
