"""What the monitors want of telemetry now: their windows, and how columns are counted to be compared with baselines."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from kernel.resources import Resources
from kernel.rooms import Rooms
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import queries
from services.monitoring.domain import KNOWN_VERSION
from services.monitoring.forest import Outliers, outliers_of
from services.monitoring.losses import Losses, losses_of
from services.monitoring.methods import EXPECT_ERRORS, beside_of, computed, sensitive_of, track_of
from services.monitoring.profile import Layout, layout_of
from services.monitoring.sampling import sampling_of
from services.monitoring.telemetry import queries as stored
from services.monitoring.windows import Plan

_MOST_LAYOUTS = 64
_Counted = tuple[Layout, Losses | None, Outliers | None]


class Plans:
    """Plans of active monitors, read from the views; the layouts of the last baselines used stay in memory."""

    def __init__(self, rooms: Rooms) -> None:
        self._pool = rooms.pool
        self._kept = rooms.kept
        self._resources: Resources = rooms.resources
        self._layouts: OrderedDict[str, _Counted] = OrderedDict()

    async def of_endpoints(self, endpoints: Sequence[str]) -> dict[str, list[Plan]]:
        """Plans by endpoint; an endpoint that no active monitor looks at is absent."""
        plans: dict[str, list[Plan]] = {}
        for monitor in await queries.monitors_of_endpoints(self._pool, endpoints):
            if monitor.state == types.MONITOR_STATE_ACTIVE:
                plans.setdefault(monitor.endpoint, []).append(await self.of(monitor))
        return plans

    async def of(self, monitor: types.Monitor) -> Plan:
        digest = monitor.baseline.digest
        counted = await self._layout(digest) if digest else None
        layout, losses, outliers = counted or (None, None, None)
        computes = {computed(check) for check in monitor.checks}
        return Plan(
            monitor=monitor.name,
            window=monitor.window,
            # A baseline whose profiles are lost compares with nothing, which results then say.
            baseline_digest=digest if layout is not None else "",
            layout=layout or {},
            prediction_column=monitor.prediction_column,
            tracks=frozenset(track_of(check) for check in monitor.checks),
            losses=losses if computes & set(EXPECT_ERRORS) else None,
            sensitive=sensitive_of(monitor.checks),
            queries=types.METHOD_NDCG in computes,
            beside=beside_of(monitor.checks),
            outliers=outliers if types.METHOD_OUTLIER_SHARE in computes else None,
            sampling=sampling_of(layout or {}, monitor.window.sample_rows, sensitive_of(monitor.checks)),
        )

    async def _layout(self, digest: str) -> _Counted | None:
        layout = self._layouts.get(digest)
        if layout is None:
            body = (await stored.load_profiles(self._kept, [digest])).get(digest)
            if body is None:
                return None
            baseline = types.ProfileSet.FromString(body)
            layout = self._layouts[digest] = (layout_of(baseline), losses_of(baseline), outliers_of(baseline))
            if len(self._layouts) > _MOST_LAYOUTS:
                self._layouts.popitem(last=False)
        self._layouts.move_to_end(digest)
        return layout

    async def known_versions(self, versions: Iterable[str]) -> dict[str, types.KnownVersion]:
        return {one: await self._resources.load(KNOWN_VERSION, one) for one in set(versions)}
