"""The terms of environments in a few words each, as they stand in a cell."""

from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any

DAYS = "mon tue wed thu fri sat sun".split()


def _freeze(freeze: Any) -> str:
    """`weekends: fri 17:00 to mon 08:00 Europe/Berlin (nobody is here)`."""
    if freeze.HasField("weekly"):
        one = freeze.weekly
        span = f"{_day(one.from_day)} {one.from_time} to {_day(one.to_day)} {one.to_time} {one.time_zone}"
    else:
        span = f"{_time(freeze.once.from_time)} to {_time(freeze.once.to_time)}"
    return f"{freeze.id}: {span}{f' ({freeze.reason})' if freeze.reason else ''}"


def _day(number: int) -> str:
    return DAYS[number - 1] if 0 < number <= len(DAYS) else str(number)


def _time(moment: Any) -> str:
    return f"{moment.ToDatetime(tzinfo=UTC):%Y-%m-%d %H:%M}Z"


def _quota(quota: Any) -> str:
    amounts = (
        (quota.most_endpoints, "endpoints"),
        (quota.most_replicas, "replicas"),
        (quota.most_memory_mib, "MiB"),
        (quota.most_cpu_millis, "thousandths of a core"),
    )
    return ", ".join(f"{most} {word}" for most, word in amounts if most)


def _promotion(promotion: Any) -> str:
    seconds = promotion.served_for.ToSeconds()
    return f"from {promotion.from_environment}{f', after serving there for {seconds} s' if seconds else ''}"


def _approvals(asked: Any) -> str:
    within = f" within {asked.expire_after.ToSeconds()} s" if asked.HasField("expire_after") else " within 24 h"
    return f"{asked.needed}{within}"


def _secret(ref: Any) -> str:
    if ref.HasField("kubernetes_secret"):
        return f"Secret {ref.kubernetes_secret.secret}/{ref.kubernetes_secret.key}"
    return f"file {ref.file}" if ref.file else f"variable {ref.environment_variable}"


def _lift(lift: Any) -> str:
    where = f" for {lift.endpoint}" if lift.endpoint else ""
    return f"until {_time(lift.until_time)}{where} by {lift.lifted_by} ({lift.reason})"


def _approval(approval: Any) -> str:
    return (
        f"{approval.approved_by} {_time(approval.approve_time)}{f' ({approval.comment})' if approval.comment else ''}"
    )


SHORT: Mapping[str, Callable[[Any], str]] = {
    f"modelog.deployment.v1.{name}": told
    for name, told in (
        ("Freeze", _freeze),
        ("Quota", _quota),
        ("Promotion", _promotion),
        ("RolloutApprovals", _approvals),
        ("SecretRef", _secret),
        ("FreezeLift", _lift),
        ("RolloutApproval", _approval),
    )
}
