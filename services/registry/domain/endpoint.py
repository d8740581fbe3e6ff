"""What the registry knows of deployment's endpoints: which versions they serve."""

from google.protobuf.message import Message

from modelog.deployment.v1 import events_pb2 as deployment
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1.types_pb2 import KnownEndpoint, ServingShare

HEARD = (deployment.EndpointCreated, deployment.TrafficShifted, deployment.EndpointRemoved)


def evolve_endpoint(endpoint: KnownEndpoint, event: Message, envelope: Fact) -> None:
    """Folds what matters here; every other event of deployment leaves the endpoint as it is."""
    match event:
        case deployment.EndpointCreated():
            endpoint.environment = event.environment
        case deployment.TrafficShifted():
            del endpoint.traffic[:]
            endpoint.traffic.extend(ServingShare(version=one.version, percent=one.percent) for one in event.traffic)
        case deployment.EndpointRemoved():
            del endpoint.traffic[:]
            endpoint.removed = True
