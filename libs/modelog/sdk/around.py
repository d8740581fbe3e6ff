"""What a fact does not say itself but others want to know of it: read as of the moment before it."""

from typing import TYPE_CHECKING, Any

from modelog.sdk.errors import Denied, NotFound
from modelog.type.v1.read_pb2 import ReadOptions

if TYPE_CHECKING:
    from modelog.sdk.sync_client import SyncClient


class ReadAround:
    """Asks the services, once for each resource: what is asked for never changes in its life."""

    def __init__(self, client: "SyncClient") -> None:
        self._client = client
        self._known: dict[str, str] = {}

    def environment(self, endpoint: str, revision: int) -> str:
        """The environment of an endpoint; empty when there was none before this revision, or none for the caller."""
        from modelog.deployment.v1.deployment_service_pb2 import GetEndpointRequest

        request = GetEndpointRequest(name=endpoint, read=_before(revision))
        return self._ask(endpoint, lambda: self._client.deployment.GetEndpoint(request).environment)

    def endpoint(self, alert: str, revision: int) -> str:
        """The endpoint that an alert is about; empty as above."""
        from modelog.monitoring.v1.monitoring_service_pb2 import GetAlertRequest

        request = GetAlertRequest(name=alert, read=_before(revision))
        return self._ask(alert, lambda: self._client.monitoring.GetAlert(request).endpoint)

    def _ask(self, name: str, read: Any) -> str:
        if name not in self._known:
            try:
                self._known[name] = read()
            except (NotFound, Denied):
                return ""
        return self._known[name]


def _before(revision: int) -> ReadOptions:
    return ReadOptions(as_of_revision=max(1, revision - 1))
