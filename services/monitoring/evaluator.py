"""Judges closed windows and records what they say; closes windows by the clock where telemetry has gone quiet.

The clock closes a window only after everything in the stream has been counted, so that falling behind never makes a
window empty. The same window always makes the same request, so a restart between recording and forgetting it, or two
processes at it, record it once.
"""

import asyncio
import hashlib
from datetime import datetime, timedelta
from functools import partial

from kernel.cause import Cause
from kernel.errors import Conflict, Refusal, Unavailable
from kernel.logs import structlog
from kernel.rooms import Rooms
from modelog.monitoring.v1 import types_pb2 as types
from modelog.type.v1.principal_pb2 import Principal
from services.monitoring import queries as views
from services.monitoring.domain import KNOWN_ENDPOINT, MONITOR
from services.monitoring.domain import monitor as verbs
from services.monitoring.domain.target import answering, answers, is_model
from services.monitoring.material import Material, Materials
from services.monitoring.profile import digest_of, encode
from services.monitoring.samples import without_sample
from services.monitoring.settings import Settings
from services.monitoring.telemetry import queries
from services.monitoring.telemetry.consumer import stream_ends
from services.monitoring.telemetry.plans import Plans
from services.monitoring.telemetry.queries import Key
from services.monitoring.telemetry.samples import queries as samples
from services.monitoring.windows import MICROSECONDS, Lane, OpenWindow

_log = structlog.get_logger()
_AT_A_TIME = 100
_LOOK_MICROSECONDS = 30 * MICROSECONDS  # At least this often the clock looks at every monitor.
_TIDY_TICKS = 60
_ACTOR = Principal(id="services/monitoring", auth_method="controller")


class Evaluator:
    """`run()` evaluates for ever; `closed` wakes it before its next tick."""

    def __init__(self, rooms: Rooms, closed: asyncio.Event) -> None:
        self._rooms = rooms
        self._kept = rooms.kept
        self._settings: Settings = rooms.settings
        self._plans = Plans(rooms)
        self._materials = Materials(rooms)
        self._closed = closed
        self._ticks = 0
        # By monitor, the moment from which the clock may have something to close.
        self._due: dict[str, int] = {}

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        next_tick = loop.time()
        while True:
            self._closed.clear()
            await self.evaluate_closed()
            if loop.time() >= next_tick:
                next_tick = loop.time() + self._settings.tick_seconds
                await self.tick()
                continue
            try:
                async with asyncio.timeout_at(next_tick):
                    await self._closed.wait()
            except TimeoutError:
                continue

    async def tick(self) -> None:
        """What only the clock can decide: windows that end without anybody saying so, and what has become too old."""
        await self.close_by_clock()
        if self._ticks % _TIDY_TICKS == 0:
            await self._tidy()
        self._ticks += 1

    async def evaluate_closed(self) -> None:
        passed = 0  # Windows that wait for those they are compared with; the others go on.
        while windows := await queries.closed_windows(self._kept, _AT_A_TIME, passed):
            for key, step in windows:
                monitor: types.Monitor = await self._rooms.resources.load(MONITOR, key[0])
                if not monitor.name:
                    raise Unavailable("MONITOR_NOT_FOLDED", f"{key[0]} is not in the views yet")
                material = await self._materials.of(monitor, key, step)
                if material is None:
                    passed += 1
                    continue
                if material.window is not None:
                    await self._evaluate(monitor, key, material)
                await queries.forget_window(self._kept, key, step)
                await self._materials.forget(monitor, key, step, material)

    async def _evaluate(self, monitor: types.Monitor, key: Key, material: Material) -> None:
        window = material.window
        assert window is not None
        name, version = key[:2]
        bare, sample = without_sample(window.profiles)
        body = encode(bare)
        summary = _summary(key, window, digest_of(body), material)
        if sample is not None:
            days = monitor.window.sample_days
            summary.sample_digest = await samples.keep(self._kept, sample, self._rooms.clock(), days)
        await queries.keep_profile(self._kept, summary.profile_digest, body, self._rooms.clock(), baseline=False)
        verb = partial(verbs.evaluate, window=summary, profiles=window.profiles, baseline=material.baseline)
        reads = [(KNOWN_ENDPOINT, monitor.endpoint)]
        if is_model(monitor.endpoint):
            verb, reads = partial(verb, endpoint=answering(monitor.endpoint, version)), []
        cause = _cause(key, window, summary, self._rooms.clock())
        try:
            await self._rooms.transact(MONITOR, name, cause, verb, reads=reads)
        except (Unavailable, Conflict):
            raise
        except Refusal as refusal:
            _log.warning("window_not_recorded", monitor=name, version=version, reason=refusal.reason)

    async def close_by_clock(self) -> None:
        """Closes windows by time that are over, and windows opened under other terms than the monitor has now."""
        now = self._rooms.clock()
        if not await self._caught_up():
            return
        until = _microseconds(now - timedelta(seconds=self._settings.telemetry_delay_seconds))
        for name in await views.monitors(self._rooms.pool):
            if self._due.get(name, 0) > until:
                continue
            monitor: types.Monitor = await self._rooms.resources.load(MONITOR, name)
            if monitor.state == types.MONITOR_STATE_PAUSED:
                await self._forget(name)
            else:
                await self._close(monitor, until)
            self._due[name] = _next_look(monitor.window, until)

    async def _caught_up(self) -> bool:
        """Whether everything that was in the stream when this was asked has been counted."""
        head, messages = await stream_ends(self._rooms)
        return messages == 0 or await queries.position(self._kept) >= head

    async def _close(self, monitor: types.Monitor, until: int) -> None:
        plan = await self._plans.of(monitor)
        endpoint = answering(monitor.endpoint)
        if not is_model(monitor.endpoint):
            endpoint = await self._rooms.resources.load(KNOWN_ENDPOINT, monitor.endpoint)
        async with self._kept.acquire() as connection, connection.transaction():
            await queries.locked_position(connection)
            lanes = await queries.load_lanes(connection, [monitor.name])
            if types.TRACK_PREDICTIONS in plan.tracks:
                for version in [""] if plan.window.versions_together else endpoint.versions:
                    key = (monitor.name, version, types.TRACK_PREDICTIONS, "")
                    lanes.setdefault(key, Lane(monitor.name, version, types.TRACK_PREDICTIONS))
            for lane in lanes.values():
                lane.close_until(plan, until)
                if lane.track == types.TRACK_PREDICTIONS:
                    lane.close_empty(plan, until, answering=answers(endpoint, lane.version))
            await queries.save_lanes(connection, lanes.values())
        if any(window.closed for lane in lanes.values() for window in lane.windows):
            self._closed.set()

    async def _forget(self, monitor: str) -> None:
        async with self._kept.acquire() as connection, connection.transaction():
            await queries.locked_position(connection)
            await queries.forget_lanes(connection, monitor)

    async def _tidy(self) -> None:
        now, settings = self._rooms.clock(), self._settings
        before = {
            "batch": now - timedelta(days=settings.telemetry_days),
            "rejected": now - timedelta(days=settings.telemetry_days),
            "prediction": now - timedelta(days=settings.label_days),
            "outcome": now - timedelta(days=settings.label_days),
            "profile": now - timedelta(days=settings.profile_days),
        }
        await queries.forget_old(self._kept, before, settings.most_waiting_predictions)
        await samples.forget_expired(self._kept, now)


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * MICROSECONDS)


def _next_look(window: types.WindowSpec, until: int) -> int:
    """The end of the window that is open now, since windows by time end at multiples of their size."""
    size = (window.step_seconds or window.size_seconds) * MICROSECONDS
    look = until + _LOOK_MICROSECONDS
    return min(look, (until // size + 1) * size + window.lateness_seconds * MICROSECONDS % size) if size else look


def _cause(key: Key, window: OpenWindow, summary: types.Window, now: datetime) -> Cause:
    """The same window always asks under the same id; with other contents it would be refused, not recorded twice."""
    lane = key if key[3] else key[:3]
    place = "\0".join((*map(str, lane), str(window.position), str(window.offset), str(window.start)))
    return Cause(
        actor=_ACTOR,
        request_id=f"window/{hashlib.sha256(place.encode()).hexdigest()[:32]}",
        request_digest=hashlib.sha256(summary.SerializeToString(deterministic=True)).digest(),
        now=now,
    )


def _summary(key: Key, window: OpenWindow, digest: str, material: Material) -> types.Window:
    summary = types.Window(
        version=key[1],
        track=key[2],
        segment=key[3],
        compared_with=material.compared_with,
        rows=window.profiles.rows,
        dropped_rows=window.profiles.dropped_rows,
        failed_requests=window.profiles.failed_requests,
        late_rows=window.profiles.late_rows,
        profile_digest=digest,
        baseline_digest=material.baseline_digest,
        baseline_sample_digest=material.baseline_sample_digest,
    )
    summary.start_time.FromMicroseconds(window.start)
    summary.end_time.FromMicroseconds(window.end)
    return summary
