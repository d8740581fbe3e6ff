"""What went wrong, in a sentence on stderr and an exit status that programs can rely on."""

import json
import sys
import traceback
from typing import Any

import click
import grpc

from modelog.cli.text import clean
from modelog.sdk.errors import NotConfigured, Refused
from modelog.sdk.subscription import Hole

FAILED, USAGE, NOT_FOUND, CONFLICT, DENIED, UNAVAILABLE, UNVERIFIED, INTERRUPTED = 1, 2, 3, 4, 5, 6, 7, 130
STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: USAGE,
    grpc.StatusCode.OUT_OF_RANGE: USAGE,
    grpc.StatusCode.NOT_FOUND: NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: CONFLICT,
    grpc.StatusCode.FAILED_PRECONDITION: CONFLICT,
    grpc.StatusCode.ABORTED: CONFLICT,
    grpc.StatusCode.PERMISSION_DENIED: DENIED,
    grpc.StatusCode.UNAUTHENTICATED: DENIED,
    grpc.StatusCode.UNAVAILABLE: UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS: UNVERIFIED,
}


def tell(error: Exception, *, as_json: bool, debug: bool) -> int:
    """Prints what is wrong and returns the exit status."""
    match error:
        case click.Abort():
            return INTERRUPTED
        case click.UsageError() if not as_json:
            error.show(sys.stderr)
            return USAGE
    status, reason, message, details = _understood(error)
    if debug:
        traceback.print_exception(error)
    if as_json:
        told = {"reason": reason, "message": message, **details}
        print(json.dumps({"error": told}), file=sys.stderr)
        return status
    print(clean(f"error: {message} ({reason})"), file=sys.stderr)
    for line in _lines(message, details):
        print(clean(f"  {line}"), file=sys.stderr)
    return status


def _understood(error: Exception) -> tuple[int, str, str, dict[str, Any]]:
    """Exit status, reason, sentence, and what else is known."""
    match error:
        case Refused():
            return STATUS.get(error.code, FAILED), error.reason, _sentence(error), _details(error)
        case NotConfigured():
            return UNAVAILABLE, "NOT_CONFIGURED", str(error), {}
        case Hole():
            return UNVERIFIED, "HOLE", str(error), {}
        case click.UsageError():
            return USAGE, "USAGE", error.format_message(), {}
        case click.ClickException():
            return error.exit_code, "FAILED", error.format_message(), {}
        case OSError():
            named = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            return FAILED, "FAILED", named, {}
        case ValueError():
            return FAILED, "FAILED", str(error), {}
    return FAILED, "INTERNAL", f"{type(error).__name__}: {error}; --debug shows where", {}


def _sentence(error: Refused) -> str:
    if error.reason == "UNAVAILABLE":
        # Nobody answered, so there is no reason but the transport's own words.
        return f"the service cannot be reached; is the suite running (`make up`)? {error.message}"
    return error.message


def _details(error: Refused) -> dict[str, Any]:
    violations = [{"field": one.field, "description": one.description} for one in error.violations]
    return {"code": error.code.name, "violations": violations, "metadata": error.metadata}


def _lines(message: str, details: dict[str, Any]) -> list[str]:
    """Wrong fields and further details, as far as the sentence does not say them."""
    fields = [(one["field"], one["description"]) for one in details.get("violations", ())]
    further = [*fields, *details.get("metadata", {}).items()]
    return [f"{name}: {text}" for name, text in further if text not in message]
