"""Baselines of windows that were judged: what was normal in a period."""

from collections.abc import Sequence
from datetime import UTC
from functools import reduce

from kernel.errors import NotAllowedNow, NotFound, invalid_field
from kernel.postgres import Pool
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import fits_pb2 as fits
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import queries
from services.monitoring.capturing import Captured
from services.monitoring.fitting import MOST_CHUNKS, Chunk, settled
from services.monitoring.profile import merge
from services.monitoring.telemetry import queries as stored

_OTHER_EDGES = (
    "windows of the period were not all counted between the same edges: capture a baseline of any rows first, and take"
    " windows from then on"
)


async def captured_in(views: Pool, kept: Pool, monitor: types.Monitor, period: fits.ReferencePeriod) -> Captured:
    """The windows of a period merged, each a chunk of its own; the newest hundred of each track.

    Their segments are left out, since all rows are in the windows of their version. NotFound without windows;
    NotAllowedNow when they were counted between other edges than the present baseline's, or are no longer kept.
    """
    start, end = period.start_time.ToDatetime(tzinfo=UTC), period.end_time.ToDatetime(tzinfo=UTC)
    if end <= start:
        raise invalid_field("reference.end_time", "the period ends before it begins", "NO_PERIOD")
    found = await queries.windows_between(views, monitor.name, period.version, (start, end))
    meant = [one for one in found if not one.window.segment and one.window.rows]
    if not meant:
        whose = period.version or "all versions together"
        raise NotFound("NO_WINDOWS", f"{monitor.name} judged no windows of {whose} between {start} and {end}")
    chunks = [
        chunk
        for track in (types.TRACK_PREDICTIONS, types.TRACK_LABELS)
        for chunk in await _chunks(kept, _apart([one for one in meant if one.window.track == track]))
    ]
    try:
        profiles = settled(reduce(merge, [one.profiles for one in chunks]))
    except ValueError as error:
        raise NotAllowedNow("OTHER_EDGES", _OTHER_EDGES) from error
    if all(one.WhichOneof("values") is None for one in profiles.columns):
        raise NotAllowedNow("OTHER_EDGES", _OTHER_EDGES)
    await _keep_models(kept, monitor.baseline.digest, profiles)
    return Captured(profiles, chunks)


async def _keep_models(kept: Pool, digest: str, profiles: types.ProfileSet) -> None:
    """What was fitted on the rows of the present baseline cannot be fitted on windows, so it goes on."""
    bodies = await stored.load_profiles(kept, [digest])
    if digest in bodies:
        present = types.ProfileSet.FromString(bodies[digest])
        if present.HasField("loss_model"):
            profiles.loss_model.CopyFrom(present.loss_model)


def _apart(windows: Sequence[facts.WindowEvaluated]) -> list[types.Window]:
    """The newest of them that share no rows."""
    taken: list[types.Window] = []
    for one in windows:  # Newest first.
        window = one.window
        if not taken or window.end_time.ToMicroseconds() <= taken[-1].start_time.ToMicroseconds():
            taken.append(window)
    return taken[:MOST_CHUNKS]


async def _chunks(kept: Pool, windows: Sequence[types.Window]) -> list[Chunk]:
    bodies = await stored.load_profiles(kept, [one.profile_digest for one in windows])
    if missing := [one.number for one in windows if one.profile_digest not in bodies]:
        raise NotAllowedNow("PROFILE_EXPIRED", f"the profiles of window {missing[0]} are no longer kept")
    return [Chunk(types.ProfileSet.FromString(bodies[one.profile_digest]), one) for one in windows]
