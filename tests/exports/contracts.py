"""What CDEvents 0.4.1 asks of an event, stated anew from its published schemas as JSON Schema (2020-12).

Each kind has the same frame: context and subject with nothing beside the named properties; what differs is the type of
the subject and its content.
"""

from collections.abc import Mapping
from typing import Any

_TEXT = {"type": "string", "minLength": 1}
_REFERENCE = {**_TEXT, "format": "uri-reference"}


def closed(properties: Mapping[str, Any], required: str = "") -> dict[str, Any]:
    """An object of these properties only."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": required.split(),
        "additionalProperties": False,
    }


_POINTER = closed({"id": _TEXT, "source": _REFERENCE}, "id")
_ENVIRONMENT = closed({"name": {"type": "string"}, "url": {"type": "string"}})
_RUNNING = closed({"environment": _POINTER, "artifactId": _TEXT}, "environment artifactId")
_PLACED = closed({"environment": _POINTER}, "environment")
_INCIDENT = closed(
    {"description": {"type": "string"}, "environment": _POINTER, "service": _POINTER, "artifactId": _TEXT},
    "environment",
)
_TASK = {"taskName": {"type": "string"}, "url": {"type": "string"}, "pipelineRun": _POINTER}
# Type of event, without `dev.cdevents.`: type of its subject, and its content.
CONTENTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "artifact.published.0.2.0": ("artifact", closed({"sbom": closed({"uri": _REFERENCE}, "uri"), "user": _TEXT})),
    "artifact.signed.0.2.0": ("artifact", closed({"signature": _TEXT}, "signature")),
    "artifact.deleted.0.1.0": ("artifact", closed({"user": _TEXT})),
    "environment.created.0.2.0": ("environment", _ENVIRONMENT),
    "environment.modified.0.2.0": ("environment", _ENVIRONMENT),
    "environment.deleted.0.2.0": ("environment", closed({"name": {"type": "string"}})),
    "service.deployed.0.2.0": ("service", _RUNNING),
    "service.upgraded.0.2.0": ("service", _RUNNING),
    "service.rolledback.0.2.0": ("service", _RUNNING),
    "service.published.0.2.0": ("service", _PLACED),
    "service.removed.0.2.0": ("service", _PLACED),
    "incident.detected.0.2.0": ("incident", _INCIDENT),
    "incident.resolved.0.2.0": ("incident", _INCIDENT),
    "taskrun.started.0.2.0": ("taskRun", closed(_TASK)),
    "taskrun.finished.0.2.0": ("taskRun", closed({**_TASK, "outcome": _TEXT, "errors": {"type": "string"}})),
}


def cdevents_schema(kind: str) -> dict[str, Any]:
    """The schema of a kind of event; KeyError for one that the specification does not know."""
    subject, content = CONTENTS[kind.removeprefix("dev.cdevents.")]
    context = {
        "version": {"const": "0.4.1"},
        "id": _TEXT,
        "source": _REFERENCE,
        "type": {"const": kind},
        "timestamp": {"type": "string", "format": "date-time"},
        "schemaUri": {**_TEXT, "format": "uri"},
        "chainId": _TEXT,
        "links": {"type": "array"},
    }
    about = {"id": _TEXT, "source": _REFERENCE, "type": {"const": subject}, "content": content}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **closed(
            {
                "context": closed(context, "version id source type timestamp"),
                "subject": closed(about, "id type content"),
                "customData": {"type": ["object", "string"]},
                "customDataContentType": {"type": "string"},
            },
            "context subject",
        ),
    }
