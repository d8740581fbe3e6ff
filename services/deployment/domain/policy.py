"""How the gateway treats an endpoint's requests: which policies there can be, and changing parts of one."""

from collections.abc import Iterable, Sequence

from kernel.errors import NotAllowedNow, invalid_field
from modelog.deployment.v1.traffic_pb2 import TrafficPolicy
from modelog.deployment.v1.types_pb2 import Environment

# Their requests come through a gateway that belongs to somebody else.
_WITHOUT_POLICY = frozenset({"kubernetes"})
_FIELD = "traffic_policy"
_DEFAULT_TIMEOUT_MS = 30_000


def check_policy(policy: TrafficPolicy, environment: Environment) -> None:
    """Refuses what the environment's gateway cannot do, and what contradicts itself."""
    if environment.driver in _WITHOUT_POLICY and policy.ListFields():
        raise NotAllowedNow(
            "POLICY_NOT_SUPPORTED",
            f"requests to {environment.name} come through a gateway of the driver {environment.driver}, which is not"
            " modelog's: set timeouts and retries there",
        )
    if policy.retries.HasField("per_try_timeout"):
        whole = policy.timeout.ToMilliseconds() if policy.HasField("timeout") else _DEFAULT_TIMEOUT_MS
        if policy.retries.per_try_timeout.ToMilliseconds() > whole:
            raise invalid_field(
                f"{_FIELD}.retries.per_try_timeout", f"one try may not take longer than all of them, {whole} ms"
            )


def masked(paths: Iterable[str]) -> tuple[str, ...]:
    """The fields of the policy that a mask names, `traffic_policy` or `*` for all; Invalid for an unknown path."""
    known = [field.name for field in TrafficPolicy.DESCRIPTOR.fields]
    named: set[str] = set()
    for path in paths:
        if path in ("*", _FIELD):
            named |= set(known)
        elif path.startswith(f"{_FIELD}.") and path.removeprefix(f"{_FIELD}.") in known:
            named.add(path.removeprefix(f"{_FIELD}."))
        else:
            choices = ", ".join(f"{_FIELD}.{name}" for name in known)
            raise invalid_field("update_mask", f"{path!r} is none of {_FIELD}, {choices}", "UNKNOWN_PATH")
    if not named:
        raise invalid_field("update_mask", "name at least one field to write", "EMPTY_MASK")
    return tuple(name for name in known if name in named)


def merged(policy: TrafficPolicy, given: TrafficPolicy, fields: Sequence[str]) -> TrafficPolicy:
    """The policy with these fields as they are in `given`; a field absent there is absent then."""
    changed = TrafficPolicy()
    changed.CopyFrom(policy)
    for name in fields:
        changed.ClearField(name)
        if changed.DESCRIPTOR.fields_by_name[name].message_type is None:
            setattr(changed, name, getattr(given, name))
        elif given.HasField(name):
            getattr(changed, name).CopyFrom(getattr(given, name))
    return changed
