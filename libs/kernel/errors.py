"""Refusals: the one way in which modelog says no, with a reason that stays stable for programs.

A refusal carries a canonical gRPC code by name (this module is pure and knows no grpc), an UPPER_SNAKE reason, a
sentence that tells the caller what to do next, and optional metadata. The door turns it into google.rpc.Status.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FieldViolation:
    """One wrong field of a request: its path, what is wrong, and the rule's name in UPPER_SNAKE."""

    field: str
    description: str
    reason: str = "INVALID"


class Refusal(Exception):
    """A definite no: nothing was appended to the log."""

    code = "FAILED_PRECONDITION"
    retry_seconds = 0.0

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
    ) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)


class Invalid(Refusal):
    """The request is wrong whatever the state is; name the field in `violations` (see `invalid_field`)."""

    code = "INVALID_ARGUMENT"


class NotFound(Refusal):
    code = "NOT_FOUND"


class AlreadyExists(Refusal):
    code = "ALREADY_EXISTS"


class NotAllowedNow(Refusal):
    """Wrong order of life: the same request may succeed after something else has happened."""

    code = "FAILED_PRECONDITION"


class Conflict(Refusal):
    """A stale etag, or a race lost more often than we try: read again, then decide again."""

    code = "ABORTED"


class Denied(Refusal):
    code = "PERMISSION_DENIED"


class Unauthenticated(Refusal):
    code = "UNAUTHENTICATED"


class Exhausted(Refusal):
    """A limit is reached. retry_seconds: when the same request may succeed, 0 when waiting alone does not help."""

    code = "RESOURCE_EXHAUSTED"

    def __init__(
        self, reason: str, message: str, *, metadata: Mapping[str, str] | None = None, retry_seconds: float = 0.0
    ) -> None:
        super().__init__(reason, message, metadata=metadata)
        self.retry_seconds = retry_seconds


class Unavailable(Refusal):
    """The log or the views cannot be reached. A write may have been appended; retry it under the same request_id."""

    code = "UNAVAILABLE"
    retry_seconds = 1.0


class TooLate(Refusal):
    code = "DEADLINE_EXCEEDED"


class UnknownFact(Exception):
    """Raised by `evolve` for an event it has no case for: the resource is quarantined, never skipped."""

    def __init__(self, event: object) -> None:
        super().__init__(f"no fold for {type(event).__name__}")


def invalid_field(field: str, description: str, reason: str = "INVALID") -> Invalid:
    """The refusal of one wrong field."""
    return Invalid(
        "INVALID_REQUEST", f"{field}: {description}", violations=(FieldViolation(field, description, reason),)
    )
