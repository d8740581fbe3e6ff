"""What monitoring decides: monitors, the alerts they raise, the retrainings that follow."""

from access.fold import KNOWN_PROJECT
from services.monitoring.domain.alert import ALERT
from services.monitoring.domain.known import KNOWN_ENDPOINT, KNOWN_VERSION
from services.monitoring.domain.monitor import MONITOR
from services.monitoring.domain.retraining import RETRAINING

KINDS = (MONITOR, ALERT, RETRAINING, KNOWN_ENDPOINT, KNOWN_VERSION, KNOWN_PROJECT)

__all__ = ["ALERT", "KINDS", "KNOWN_ENDPOINT", "KNOWN_VERSION", "MONITOR", "RETRAINING"]
