"""What the registry folds from deployment's facts."""

from modelog.deployment.v1 import events_pb2 as deployment
from services.registry.domain import KNOWN_ENDPOINT
from testkit.scenario import life
from tests.registry.build import MODEL_NAME, VERSION_NAME

NAME = "projects/risk/endpoints/eu"
SECOND = f"{MODEL_NAME}/versions/2"


def test_an_endpoint_serves_what_its_newest_traffic_says() -> None:
    endpoint = life(KNOWN_ENDPOINT, NAME).given(
        deployment.EndpointCreated(environment="projects/risk/environments/prod"),
        deployment.TrafficShifted(traffic=[{"version": VERSION_NAME, "percent": 100}]),
        deployment.EndpointFlagged(),
        deployment.TrafficShifted(
            traffic=[{"version": VERSION_NAME, "percent": 90}, {"version": SECOND, "percent": 10}]
        ),
    )
    state = endpoint.state
    assert state.environment == "projects/risk/environments/prod"
    assert [(share.version, share.percent) for share in state.traffic] == [(VERSION_NAME, 90), (SECOND, 10)]
    assert state.generation == 4
    gone = endpoint.given(deployment.EndpointRemoved()).state
    assert gone.removed
    assert not gone.traffic
