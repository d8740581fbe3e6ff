"""The door of simulations: windows and profiles are read, and everything else is decided as for new windows."""

import asyncio
from datetime import UTC

from kernel.errors import invalid_field
from kernel.rpc import Context
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import simulations_pb2 as rpc
from modelog.monitoring.v1 import types_pb2 as types
from modelog.type.v1.read_pb2 import ReadOptions
from services.monitoring.domain import MONITOR
from services.monitoring.domain.checking import complete_checks
from services.monitoring.domain.rules import complete_rules
from services.monitoring.servicer.room import Room
from services.monitoring.servicer.windows import as_of
from services.monitoring.simulation import queries
from services.monitoring.simulation.replaying import Profiles, Simulation
from services.monitoring.telemetry import queries as stored

_MOST_WINDOWS = 10_000
_PAGE = 100  # Windows, each of which may hold some hundred kilobytes of profiles.


class Simulations(Room):
    async def SimulateMonitor(
        self, request: rpc.SimulateMonitorRequest, context: Context
    ) -> rpc.SimulateMonitorResponse:
        monitor = types.Monitor.FromString(await self._resources.get(MONITOR, request.name, request.read))
        start, seen = request.start_time.ToDatetime(tzinfo=UTC), as_of(request.read)
        before: types.Monitor = await self._resources.load(
            MONITOR, request.name, ReadOptions(as_of_time=request.start_time)
        )
        checks = _checks(request, monitor)
        rules = [] if request.without_rules else complete_rules(request.rules or monitor.rules, checks)
        simulation = Simulation(_begin(before, monitor), checks, rules)
        shifts = await queries.traffic_since(self._pool, monitor.endpoint, start, seen)
        number, reply = 0, rpc.SimulateMonitorResponse()
        while page := await queries.windows_since(self._pool, request.name, start, number, _PAGE, seen):
            profiles = await self._profiles([fact for _, fact in page if simulation.needs_profiles(fact)])
            for revision, fact in page:
                while shifts and shifts[0].revision < revision:
                    shift = shifts.pop(0)
                    simulation.shift([one.version for one in shift.shares], shift.time.ToDatetime())
                await asyncio.to_thread(simulation.take, fact, profiles.get(fact.window.number))
                number = fact.window.number
            if simulation.windows >= _MOST_WINDOWS:
                reply.reaches_to.CopyFrom(page[-1][1].window.end_time)
                break
        for shift in shifts if not reply.HasField("reaches_to") else ():
            simulation.shift([one.version for one in shift.shares], shift.time.ToDatetime())
        reply.alerts.extend(simulation.alerts())
        reply.windows = simulation.windows
        reply.recomputed_results, reply.expired_results = simulation.recomputed, simulation.expired
        reply.recorded_alerts = sum(one.simulated != rpc.SIMULATED_NEWLY for one in reply.alerts)
        reply.simulated_alerts = sum(one.simulated != rpc.SIMULATED_NO_LONGER for one in reply.alerts)
        return reply

    async def _profiles(self, windows: list[facts.WindowEvaluated]) -> dict[int, Profiles]:
        """By number those of windows whose profiles are all kept. Rows are not: samples are short-lived."""
        digests = {one for fact in windows for one in (fact.window.profile_digest, fact.window.baseline_digest) if one}
        kept = await stored.load_profiles(self._kept, sorted(digests))
        found: dict[int, Profiles] = {}
        for window in (fact.window for fact in windows):
            if window.profile_digest in kept and (not window.baseline_digest or window.baseline_digest in kept):
                baseline = kept[window.baseline_digest] if window.baseline_digest else None
                found[window.number] = (
                    types.ProfileSet.FromString(kept[window.profile_digest]),
                    None if baseline is None else types.ProfileSet.FromString(baseline),
                )
        return found


def _checks(request: rpc.SimulateMonitorRequest, monitor: types.Monitor) -> list[types.Check]:
    checks = complete_checks(request.checks or monitor.checks)
    known = {check.id: check for check in checks}
    for name, threshold in request.thresholds.items():
        if name not in known:
            reason = f"there is no check {name!r}; take some of {', '.join(sorted(known))}"
            raise invalid_field("thresholds", reason, "NO_CHECK")
        known[name].threshold = threshold
        known[name].ClearField("fit")
    return checks


def _begin(before: types.Monitor, monitor: types.Monitor) -> types.Monitor:
    """The monitor as it stood; as it began, when it is younger."""
    if before.name:
        return before
    begun = types.Monitor()
    begun.CopyFrom(monitor)
    for field in ("statuses", "causes", "windows", "alerts"):
        begun.ClearField(field)
    begun.state = types.MONITOR_STATE_ACTIVE
    return begun
