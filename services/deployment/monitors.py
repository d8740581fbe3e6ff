"""Whether the monitors that an analysis rests on are there, asked when a rollout is, not when its first step ends."""

from kernel.errors import NotFound, invalid_field
from kernel.names import project_of
from kernel.resources import Resources
from modelog.deployment.v1.analysis_pb2 import KnownMonitor
from modelog.deployment.v1.types_pb2 import Strategy
from services.deployment.domain import KNOWN_MONITOR
from services.deployment.domain.strategy import analysis_of


async def check_monitors(resources: Resources, strategy: Strategy, endpoint: str) -> None:
    """Refuses a monitor of another project, one that is not there, and one that watches another endpoint."""
    analysis = analysis_of(strategy)
    for metric in analysis.metrics if analysis is not None else ():
        if metric.monitor:
            await _check(resources, metric.monitor, endpoint)


async def _check(resources: Resources, name: str, endpoint: str) -> None:
    KNOWN_MONITOR.pattern.ids(name, "monitor")
    if project_of(name) != project_of(endpoint):
        raise invalid_field("monitor", f"{name} is not in {project_of(endpoint)}", "OTHER_PROJECT")
    known: KnownMonitor = await resources.load(KNOWN_MONITOR, name)
    if not known.name:  # Created a moment ago, perhaps.
        await resources.catch_up()
        known = await resources.load(KNOWN_MONITOR, name)
    if not known.name:
        raise NotFound("MONITOR_NOT_FOUND", f"there is no {name}; create it first")
    if known.endpoint != endpoint:
        raise invalid_field("monitor", f"{name} watches {known.endpoint}, not {endpoint}", "OTHER_ENDPOINT")
