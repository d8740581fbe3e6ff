"""The door of monitoring: request, verb, reply. One file for each resource, as in the domain."""

from services.monitoring.servicer.alerts import Alerts
from services.monitoring.servicer.baselines import Baselines
from services.monitoring.servicer.ingest import Ingest
from services.monitoring.servicer.monitors import Monitors
from services.monitoring.servicer.pictures import Pictures
from services.monitoring.servicer.retrainings import Retirements, Retrainings
from services.monitoring.servicer.silences import Silences
from services.monitoring.servicer.simulations import Simulations
from services.monitoring.servicer.telemetry import Telemetry
from services.monitoring.servicer.windows import Windows


class MonitoringServicer(
    Monitors,
    Baselines,
    Windows,
    Pictures,
    Simulations,
    Telemetry,
    Ingest,
    Alerts,
    Silences,
    Retrainings,
    Retirements,
):
    """modelog.monitoring.v1.MonitoringService."""
