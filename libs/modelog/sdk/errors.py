"""Refusals as exceptions: one class per canonical code, with the stable reason and the wrong fields inside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


class NotConfigured(Exception):
    """Nobody said where a service is; the message tells how to say it."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One wrong field of a request: its path, what is wrong with it, and the rule's name in UPPER_SNAKE."""

    field: str
    description: str
    reason: str = ""


class Refused(Exception):
    """A service said no, or could not be asked. Catch a subclass, or compare `reason`, which never changes meaning.

    Unless it is Unavailable or TooLate, nothing was recorded. After those two, ask again under the same `request_id`.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        violations: Sequence[Violation] = (),
        metadata: Mapping[str, str] | None = None,
        *,
        request_id: str = "",
        retry_seconds: float = 0.0,
    ) -> None:
        super().__init__(f"{reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)
        self.metadata = dict(metadata or {})
        self.request_id = request_id
        self.retry_seconds = retry_seconds

    of_code: ClassVar[dict[grpc.StatusCode, type["Refused"]]] = {}

    def __init_subclass__(cls, *, code: grpc.StatusCode) -> None:
        Refused.of_code[code] = cls


class Invalid(Refused, code=grpc.StatusCode.INVALID_ARGUMENT):
    """The request is wrong whatever the state is; `violations` name its fields."""


class NotFound(Refused, code=grpc.StatusCode.NOT_FOUND):
    """There is no such resource."""


class AlreadyExists(Refused, code=grpc.StatusCode.ALREADY_EXISTS):
    """The name is taken, or the request_id was used for another request."""


class NotAllowedNow(Refused, code=grpc.StatusCode.FAILED_PRECONDITION):
    """Wrong order of life: the same request may succeed after something else has happened."""


class Conflict(Refused, code=grpc.StatusCode.ABORTED):
    """The resource has changed since it was read: read it again, then decide again."""


class Denied(Refused, code=grpc.StatusCode.PERMISSION_DENIED):
    """The caller may not do this."""


class Unauthenticated(Refused, code=grpc.StatusCode.UNAUTHENTICATED):
    """The service does not know who calls."""


class Exhausted(Refused, code=grpc.StatusCode.RESOURCE_EXHAUSTED):
    """A limit is reached; it may pass."""


class Unavailable(Refused, code=grpc.StatusCode.UNAVAILABLE):
    """The service, its log or its views cannot be reached. A write may have been recorded."""


class TooLate(Refused, code=grpc.StatusCode.DEADLINE_EXCEEDED):
    """The deadline passed. A write may have been recorded."""


def refused(error: grpc.RpcError, request_id: str = "") -> Refused:
    """The refusal inside a failed call; its reason is the name of the code when the server gave none."""
    code: grpc.StatusCode = error.code()
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]
    except ValueError:
        status = None  # The details contradict the call: the call itself is what is known.
    for detail in status.details if status else ():
        for known in (info, bad, retry):
            detail.Unpack(known)
    return Refused.of_code.get(code, Refused)(
        code,
        info.reason or code.name,
        (status.message if status else None) or error.details() or "the call failed",
        [Violation(one.field, one.description, one.reason) for one in bad.field_violations],
        dict(info.metadata),
        request_id=request_id,
        retry_seconds=retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9,
    )
