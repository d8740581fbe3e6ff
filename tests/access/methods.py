"""Every method of every service as an authority sees it, and requests for them, made from the descriptors alone."""

from collections.abc import Iterator
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from kernel.identity import Method
from modelog.archive.v1 import (
    archive_service_pb2,
    erasure_service_pb2,
    retention_service_pb2,
    subscription_service_pb2,
)
from modelog.deployment.v1 import deployment_service_pb2
from modelog.monitoring.v1 import monitoring_service_pb2
from modelog.registry.v1 import collaboration_service_pb2, registry_service_pb2, webhook_service_pb2
from modelog.state.v1 import state_service_pb2
from modelog.status.v1 import status_service_pb2
from modelog.type.v1 import options_pb2

_FILES = (
    registry_service_pb2,
    collaboration_service_pb2,
    webhook_service_pb2,
    deployment_service_pb2,
    monitoring_service_pb2,
    archive_service_pb2,
    retention_service_pb2,
    subscription_service_pb2,
    state_service_pb2,
    erasure_service_pb2,
    status_service_pb2,
)
# What a field with this name holds in a request; none of it comes from the code under test.
_SHAPES = {
    "project": "{project}",
    "model": "{project}/models/fraud",
    "version": "{project}/models/fraud/versions/3",
    "parent_version": "{project}/models/fraud/versions/2",
    "successor": "{project}/models/fraud/versions/4",
    "answers": "{project}/monitors/fraud/retrainings/1",
    "environment": "{project}/environments/production",
    "endpoint": "{project}/endpoints/fraud-eu",
    "resources": "{project}/models/fraud/versions/3",
}
_TARGETS = ("name", "names", "parent")
# Their target is called what it is.
_OF_ENDPOINTS = ("RecordOutcomes", "Ingest")


def methods() -> list[Method]:
    return [
        _method(method)
        for file in _FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]


def _method(descriptor: Any) -> Method:
    options = descriptor.GetOptions().Extensions
    path = f"{descriptor.containing_service.full_name}/{descriptor.name}"
    return Method(path, options[options_pb2.required_permission], descriptor, options[options_pb2.recorded])


def request_of(method: Method, project: str, *, of_others: str = "") -> Any:
    """A request whose targets are in `project`, below the model fraud; what it refers to is in `of_others`."""
    request: Any = message_factory.GetMessageClass(method.descriptor.input_type)()
    for name, field in _name_fields(method.descriptor.input_type):
        target = name in _TARGETS or method.descriptor.name in _OF_ENDPOINTS
        if not target and not of_others:
            continue
        shape = _target_shape(method, name) if name in _TARGETS else _SHAPES[name]
        value = shape.format(project=project if target else of_others)
        if field.is_repeated:
            getattr(request, name).append(value)
        else:
            setattr(request, name, value)
    return request


def references(method: Method) -> list[str]:
    """Fields by which a request names resources besides its targets."""
    fields = (name for name, _ in _name_fields(method.descriptor.input_type))
    return [name for name in fields if name not in _TARGETS and method.descriptor.name not in _OF_ENDPOINTS]


def names_a_target(method: Method) -> bool:
    return any(name in _TARGETS or name == "endpoint" for name, _ in _name_fields(method.descriptor.input_type))


def _name_fields(request: Descriptor) -> Iterator[tuple[str, FieldDescriptor]]:
    for field in request.fields:
        if field.type == FieldDescriptor.TYPE_STRING and (field.name in _TARGETS or field.name in _SHAPES):
            yield field.name, field


def _target_shape(method: Method, field: str) -> str:
    """Below the model wherever a model's part is meant, so that roles limited to a model can be told apart."""
    collection = method.permission.split(".")[1]
    if collection in ("versions", "evaluations", "transitions", "reviews") and (field != "parent"):
        return "{project}/models/fraud/versions/3"
    if collection in ("models", "versions", "aliases", "tags") and method.descriptor.name not in (
        "CreateModel",
        "ListModels",
    ):
        return "{project}/models/fraud"
    return "{project}"
