"""Freezes: times in which no rollout starts in an environment, and the glass that is broken in an emergency."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from kernel.errors import NotAllowedNow, NotFound, invalid_field
from modelog.deployment.v1.environment_events_pb2 import FreezeLifted
from modelog.deployment.v1.environments_pb2 import Freeze, FreezeLift, WeeklyFreeze
from modelog.deployment.v1.types_pb2 import Environment
from modelog.log.v1.fact_pb2 import Fact

_WEEK = 7
_HOUR = timedelta(hours=1)
# Freezes that follow each other are told as one; more than so many are told in part.
_MOST_JOINED = 20


class Frozen(NamedTuple):
    """A freeze that holds now. until: the first moment at which no freeze holds, as far as they were looked at."""

    freeze: Freeze
    until: datetime


def frozen(environment: Environment, now: datetime) -> Frozen | None:
    """The freeze that holds at `now`; None when none does. Lifts are not looked at."""
    held = _holding(environment.freezes, now)
    if held is None:
        return None
    until = held.until
    for _ in range(_MOST_JOINED):
        following = _holding(environment.freezes, until)
        if following is None:
            break
        until = following.until
    return Frozen(held.freeze, until)


def _holding(freezes: Iterable[Freeze], now: datetime) -> Frozen | None:
    """Of those that hold, the one that ends last."""
    ends = ((freeze, _end(freeze, now)) for freeze in freezes)
    return max((Frozen(freeze, end) for freeze, end in ends if end), key=lambda one: one.until, default=None)


def _end(freeze: Freeze, now: datetime) -> datetime | None:
    """When the freeze that holds at `now` ends; None when it does not hold."""
    if freeze.HasField("weekly"):
        return _weekly_end(freeze.weekly, now)
    begin, end = freeze.once.from_time.ToDatetime(tzinfo=UTC), freeze.once.to_time.ToDatetime(tzinfo=UTC)
    return end if begin <= now < end else None


def _weekly_end(weekly: WeeklyFreeze, now: datetime) -> datetime | None:
    zone = ZoneInfo(weekly.time_zone)
    today = now.astimezone(zone).date()
    days = (weekly.to_day - weekly.from_day) % _WEEK
    if not days and weekly.to_time <= weekly.from_time:
        days = _WEEK
    # It may have begun as long ago as it lasts, and an hour that the clocks skip may have it begin the day before.
    for back in range(-1, _WEEK + 2):
        day = today - timedelta(days=back)
        if day.isoweekday() != weekly.from_day:
            continue
        begin = min(_moments(day, weekly.from_time, zone))
        end = max(_moments(day + timedelta(days=days), weekly.to_time, zone))
        if begin <= now < end:
            return end
    return None


def _moments(day: date, clock: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When the clocks of the zone show it: twice the same but in the hours that they skip or repeat."""
    local = datetime.combine(day, time.fromisoformat(clock), zone)
    return local.replace(fold=0).astimezone(UTC), local.replace(fold=1).astimezone(UTC)


def lift_of(environment: Environment, endpoint: str, now: datetime) -> FreezeLift | None:
    """What lifts freezes for an endpoint at `now`; the one that lasts longest."""
    lasting = [
        one
        for one in environment.freeze_lifts
        if one.endpoint in ("", endpoint) and now < one.until_time.ToDatetime(tzinfo=UTC)
    ]
    return max(lasting, key=lambda one: one.until_time.ToMicroseconds(), default=None)


def used_lift(environment: Environment, endpoint: str, now: datetime) -> FreezeLift | None:
    """The lift without which a freeze would hold now."""
    return lift_of(environment, endpoint, now) if frozen(environment, now) else None


def check_freeze(environment: Environment, endpoint: str, now: datetime) -> None:
    """Refuses while a freeze holds that is not lifted for this endpoint."""
    held = frozen(environment, now)
    if held is None or lift_of(environment, endpoint, now) is not None:
        return
    why = f": {held.freeze.reason}" if held.freeze.reason else ""
    raise NotAllowedNow(
        "ENVIRONMENT_FROZEN",
        f"{environment.name} is frozen by {held.freeze.id} until {held.until:%Y-%m-%d %H:%M}Z{why}; wait, or have "
        "somebody who may lift the freeze do so (LiftFreeze)",
        metadata={"freeze": held.freeze.id, "until": held.until.isoformat()},
    )


def check_freezes(freezes: Iterable[Freeze]) -> None:
    """Refuses freezes that cannot be told apart, end before they begin or follow clocks nobody knows."""
    known: set[str] = set()
    for freeze in freezes:
        if freeze.id in known:
            raise invalid_field("freezes", f"there are two of the id {freeze.id!r}; give each its own")
        known.add(freeze.id)
        if freeze.HasField("weekly"):
            _check_weekly(freeze)
        elif freeze.once.from_time.ToMicroseconds() >= freeze.once.to_time.ToMicroseconds():
            raise invalid_field("freezes", f"{freeze.id} ends before it begins")


def _check_weekly(freeze: Freeze) -> None:
    weekly = freeze.weekly
    try:
        ZoneInfo(weekly.time_zone)
    except (KeyError, ValueError, OSError):
        raise invalid_field(
            "freezes",
            f"{weekly.time_zone!r} is no time zone; write one of the IANA database: Europe/Berlin, UTC",
            "UNKNOWN_TIME_ZONE",
        ) from None
    if (weekly.from_day, weekly.from_time) == (weekly.to_day, weekly.to_time):
        raise invalid_field("freezes", f"{freeze.id} would never end; say `once` with both its moments")


def lift(
    environment: Environment, *, endpoint: str, by: str, reason: str, now: datetime, duration: timedelta
) -> FreezeLifted:
    """Breaks the glass, whether a freeze holds already or begins meanwhile."""
    if not environment.name:
        raise NotFound("ENVIRONMENT_NOT_FOUND", "there is no such environment")
    if environment.removed:
        raise NotAllowedNow("ENVIRONMENT_REMOVED", f"{environment.name} was removed")
    if not reason.strip():
        raise invalid_field("reason", "say why it cannot wait until the freeze ends", "REASON_NEEDED")
    event = FreezeLifted(lift=FreezeLift(endpoint=endpoint, lifted_by=by, reason=reason))
    event.lift.until_time.FromDatetime(now + (duration or _HOUR))
    return event


def fold_lift(environment: Environment, event: FreezeLifted, envelope: Fact) -> None:
    """Those that have ended go, and a new one stands for one of before for the same endpoint: so they stay few."""
    moment = envelope.recorded_at.ToMicroseconds()
    kept = [
        one
        for one in environment.freeze_lifts
        if one.until_time.ToMicroseconds() > moment and one.endpoint != event.lift.endpoint
    ]
    del environment.freeze_lifts[:]
    environment.freeze_lifts.extend([*kept, event.lift])
