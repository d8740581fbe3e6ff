"""What a monitor looks at: an endpoint, or a model whose predictions no endpoint answers (batch scoring). Pure."""

from modelog.monitoring.v1 import types_pb2 as types


def is_model(name: str) -> bool:
    """Whether it names a model; else it names an endpoint."""
    return name.startswith("projects/") and "/models/" in name


def answering(model: str, *versions: str) -> types.KnownEndpoint:
    """A model in the place of an endpoint: whichever version scores answers, and none is ever taken away."""
    return types.KnownEndpoint(name=model, versions=versions)


def answers(endpoint: types.KnownEndpoint, version: str) -> bool:
    """Whether a version answers there; all of them together, which have no name, while any does."""
    return version in endpoint.versions if version else bool(endpoint.versions)
