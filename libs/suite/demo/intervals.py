"""What served when, told from the facts alone: the auditor's own answer, to hold against the service's."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1.types_pb2 import ServingInterval
from modelog.sdk import Entry


class Interval(NamedTuple):
    """From one revision of the log to another (0: it lasts) one version had one share of one endpoint."""

    from_revision: int
    to_revision: int
    version: str
    percent: int
    requested_by: str
    approved_by: tuple[str, ...]


def of_service(answered: Iterable[ServingInterval]) -> list[Interval]:
    """As the deployment service answers."""
    return sorted(
        Interval(
            one.from_revision,
            one.to_revision,
            one.version,
            one.percent,
            one.requested_by,
            tuple(sorted(one.approved_by)),
        )
        for one in answered
    )


def of_facts(shifts: Iterable[Entry], *, begin: int, end: int) -> list[Interval]:
    """From the TrafficShifted facts of one endpoint: what had not ended by revision `begin` and began before `end`.

    A share that a shift leaves as it was goes on.
    """
    lasting: dict[str, Interval] = {}
    done: list[Interval] = []
    for entry in shifts:
        event = entry.event
        if not isinstance(event, facts.TrafficShifted):
            continue
        shares = {share.version: share for share in event.traffic if share.percent}
        for version, interval in list(lasting.items()):
            if version not in shares or shares[version].percent != interval.percent:
                done.append(lasting.pop(version)._replace(to_revision=entry.revision))
        for version, share in shares.items():
            approvers = tuple(sorted(share.approved_by))
            new = Interval(entry.revision, 0, version, share.percent, event.requested_by, approvers)
            lasting.setdefault(version, new)
    everything: Sequence[Interval] = [*done, *lasting.values()]
    return sorted(
        one for one in everything if one.from_revision < end and (not one.to_revision or one.to_revision > begin)
    )
