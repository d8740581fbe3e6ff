"""What monitoring decides: monitors, the alerts they raise, silences, the retrainings and proposals that follow."""

from access.fold import KNOWN_PROJECT
from services.monitoring.domain.alert import ALERT
from services.monitoring.domain.known import KNOWN_ENDPOINT, KNOWN_VERSION
from services.monitoring.domain.monitor import MONITOR
from services.monitoring.domain.retirement import RETIREMENT
from services.monitoring.domain.retraining import RETRAINING
from services.monitoring.domain.silence import SILENCE

KINDS = (MONITOR, ALERT, SILENCE, RETRAINING, RETIREMENT, KNOWN_ENDPOINT, KNOWN_VERSION, KNOWN_PROJECT)

__all__ = [
    "ALERT",
    "KINDS",
    "KNOWN_ENDPOINT",
    "KNOWN_PROJECT",
    "KNOWN_VERSION",
    "MONITOR",
    "RETIREMENT",
    "RETRAINING",
    "SILENCE",
]
