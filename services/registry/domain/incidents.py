"""What happened to versions once they were put to use: rollbacks, alerts, requests to train them anew."""

from google.protobuf.message import Message

from modelog.deployment.v1 import events_pb2 as deployment
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import events_pb2 as monitoring
from modelog.registry.v1.declare_pb2 import (
    INCIDENT_KIND_ALERT,
    INCIDENT_KIND_RETRAINING,
    INCIDENT_KIND_ROLLBACK,
    KnownIncident,
)

INCIDENTS = {
    deployment.RolledBack: INCIDENT_KIND_ROLLBACK,
    monitoring.AlertRaised: INCIDENT_KIND_ALERT,
    monitoring.RetrainingRequested: INCIDENT_KIND_RETRAINING,
}
_SUMMARY_CHARACTERS = 500


def evolve_incident(incident: KnownIncident, event: Message, envelope: Fact) -> None:
    """Folds the three facts that speak of a version; every other one of these resources changes nothing here."""
    match event:
        case deployment.RolledBack():
            _about(incident, event.version, event.cause)
        case monitoring.AlertRaised():
            _about(incident, event.version, f"{event.check} on {event.endpoint}")
        case monitoring.RetrainingRequested():
            _about(incident, event.version, envelope.reason or event.alert)


def _about(incident: KnownIncident, version: str, summary: str) -> None:
    incident.version, incident.summary = version, summary[:_SUMMARY_CHARACTERS]
