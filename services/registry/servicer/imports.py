"""What was elsewhere before: who may say so, and since when it may be said to have happened."""

from dataclasses import replace
from datetime import UTC
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from kernel.cause import Cause
from kernel.errors import Denied, invalid_field
from kernel.rpc import Context
from modelog.registry.v1.imports_pb2 import Origin

_PERMISSION = "registry.history.import"


def origin_of(request: Any) -> Origin | None:
    """The origin that a request gives, if any."""
    return request.origin if request.HasField("origin") else None


async def imported(
    context: Context, resource: str, *, origin: Origin | None = None, happened: Timestamp | None = None
) -> Cause:
    """The cause of a command that may bring over what happened elsewhere and before.

    Denied without the permission on the resource; Invalid for a time that has not come yet. Everything is ordered and
    judged by when it was recorded, so a time of the past decides nothing; it only has to be somebody's to answer for.
    """
    cause = context.cause()
    if origin is None and happened is None:
        return cause
    if not await context.may(_PERMISSION, resource):
        principal = cause.actor.id
        raise Denied(
            "NOT_GRANTED",
            f"{principal} needs {_PERMISSION} on {resource} to say where or when something was before; two "
            "administrators grant the role importer",
            metadata={"principal": principal, "permission": _PERMISSION, "resource": resource},
        )
    field = "happen_time" if origin is None else "origin.happen_time"
    if origin is not None and origin.HasField("happen_time"):
        happened = origin.happen_time
    if happened is None:
        return cause
    moment = happened.ToDatetime(UTC)
    if moment > context.now:
        raise invalid_field(field, f"{moment.isoformat()} has not come yet; give the time when it happened", "FUTURE")
    return replace(cause, happened_at=moment)
