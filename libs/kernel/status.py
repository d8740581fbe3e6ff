"""Refusals as google.rpc.Status: code, ErrorInfo with its stable reason, BadRequest with each wrong field (AIP-193)."""

import math

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2

from kernel.errors import Refusal
from modelog.type.v1 import refusal_pb2

DOMAIN = "modelog"
_DETAILS = "grpc-status-details-bin"


def grpc_code(refusal: Refusal) -> grpc.StatusCode:
    return grpc.StatusCode[refusal.code]


def trailers(refusal: Refusal) -> tuple[tuple[str, bytes], ...]:
    """Trailing metadata that carries the details."""
    status = status_pb2.Status(code=code_pb2.Code.Value(refusal.code), message=refusal.message)
    info = error_details_pb2.ErrorInfo(reason=refusal.reason, domain=DOMAIN, metadata=refusal.metadata)
    status.details.add().Pack(info)
    if refusal.violations:
        bad = error_details_pb2.BadRequest()
        for one in refusal.violations:
            bad.field_violations.add(field=one.field, description=one.description, reason=one.reason)
        status.details.add().Pack(bad)
    if refusal.retry_seconds:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(math.ceil(refusal.retry_seconds * 1e9))
        status.details.add().Pack(retry)
    return ((_DETAILS, status.SerializeToString()),)


def message_of(refusal: Refusal) -> refusal_pb2.Refusal:
    """The same as a message, for one answer among others."""
    violations = [
        refusal_pb2.FieldViolation(field=one.field, description=one.description, reason=one.reason)
        for one in refusal.violations
    ]
    return refusal_pb2.Refusal(
        code=refusal.code,
        reason=refusal.reason,
        message=refusal.message,
        metadata=refusal.metadata,
        violations=violations,
    )
