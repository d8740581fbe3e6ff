"""What a window is judged from: its own profiles, merged of steps where it slides, and those it is compared with."""

from typing import NamedTuple

from kernel.rooms import Rooms
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.domain import KNOWN_ENDPOINT
from services.monitoring.domain.target import is_model
from services.monitoring.methods import beside_of
from services.monitoring.profile import digest_of, encode
from services.monitoring.samples import without_sample
from services.monitoring.segments import running_version
from services.monitoring.sliding import earlier_of, reach_of, window_of
from services.monitoring.telemetry import queries
from services.monitoring.telemetry.queries import Key
from services.monitoring.telemetry.samples import queries as samples
from services.monitoring.telemetry.steps import queries as steps
from services.monitoring.windows import OpenWindow, terms_of

_SPARE_STEPS = 64  # Of windows that wait for another lane, or whose turn comes after later ones.


class Material(NamedTuple):
    """window: None when the step completes none. kept_steps: how many later windows of the lane may need."""

    window: OpenWindow | None
    baseline: types.ProfileSet | None = None
    baseline_digest: str = ""
    compared_with: types.Comparison = types.COMPARISON_UNSPECIFIED
    kept_steps: int = 0
    baseline_sample_digest: str = ""


class Materials:
    """Reads what is kept beside the views, and keeps what later windows need."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._kept = rooms.kept

    async def of(self, monitor: types.Monitor, key: Key, step: OpenWindow) -> Material | None:
        """What to judge when this step of a lane is closed; None while that is not known yet."""
        spec = monitor.window
        plain = reach_of(spec) == 1 and spec.compare_with != types.COMPARISON_RUNNING_VERSION
        # A step of a window that somebody asked for in another way is the window as far as it goes.
        if plain or step.terms != terms_of(spec, step.baseline_digest, beside_of(monitor.checks)):
            return Material(step, *await self._captured(step))
        await steps.keep_closed(self._kept, key)
        before = await steps.upto(self._kept, key, step, reach_of(spec), by_time=bool(spec.size_seconds))
        window = window_of(spec, before)
        material = Material(window, kept_steps=reach_of(spec) + _SPARE_STEPS)
        if window is None:
            return material
        if spec.compare_with == types.COMPARISON_EARLIER_WINDOWS:
            return await self._with(material, earlier_of(spec, before), spec)
        if spec.compare_with == types.COMPARISON_RUNNING_VERSION and not is_model(monitor.endpoint):
            running = running_version(await self._rooms.resources.load(KNOWN_ENDPOINT, monitor.endpoint))
            if running and running != key[1]:
                return await self._beside(spec, material, (key[0], running, *key[2:]), step)
        baseline, digest = await self._captured(step)
        return material._replace(baseline=baseline, baseline_digest=digest)

    async def forget(self, monitor: types.Monitor, key: Key, step: OpenWindow, material: Material) -> None:
        """To be called when the window is recorded."""
        if material.kept_steps:
            by_time = bool(monitor.window.size_seconds)
            await steps.forget(self._kept, key, step, material.kept_steps, by_time=by_time)

    async def _beside(
        self, spec: types.WindowSpec, material: Material, running: Key, step: OpenWindow
    ) -> Material | None:
        """Compared with the running version's window of the same bounds, once that one can no longer change."""
        if not await steps.is_settled(self._kept, running, step):
            return None
        await steps.keep_closed(self._kept, running)
        theirs = await steps.upto(self._kept, running, step, reach_of(spec), by_time=True)
        window = window_of(spec, theirs) if theirs and theirs[-1].end == step.end else None
        profiles = window.profiles if window is not None and window.rows else None
        return await self._with(material, profiles, spec)

    async def _with(self, material: Material, baseline: types.ProfileSet | None, spec: types.WindowSpec) -> Material:
        """Profiles are kept before the fact that names them is recorded."""
        if baseline is None:
            return material._replace(compared_with=spec.compare_with)
        now, (bare, sample) = self._rooms.clock(), without_sample(baseline)
        body = encode(bare)
        digest = digest_of(body)
        await queries.keep_profile(self._kept, digest, body, now, baseline=False)
        rows = await samples.keep(self._kept, sample, now, spec.sample_days) if sample is not None else ""
        return material._replace(
            baseline=baseline,
            baseline_digest=digest,
            compared_with=spec.compare_with,
            baseline_sample_digest=rows,
        )

    async def _captured(self, step: OpenWindow) -> tuple[types.ProfileSet | None, str]:
        if not step.baseline_digest:
            return None, ""
        stored = await queries.load_profiles(self._kept, [step.baseline_digest])
        return types.ProfileSet.FromString(stored.get(step.baseline_digest, b"")), step.baseline_digest
