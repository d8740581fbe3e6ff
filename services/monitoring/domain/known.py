"""What monitoring knows of other services' resources, folded from their facts."""

from google.protobuf.message import Message

from kernel.fold import kind
from modelog.deployment.v1 import events_pb2 as deployment_facts
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import types_pb2 as types
from modelog.registry.v1 import events_pb2 as registry_facts
from modelog.registry.v1 import types_pb2 as registry_types

_CATEGORICAL = (registry_types.DATA_TYPE_STRING, registry_types.DATA_TYPE_BYTES)


def evolve_known_version(version: types.KnownVersion, fact: Message, envelope: Fact) -> None:
    match fact:
        case registry_facts.VersionRegistered():
            for role, columns in (
                (types.COLUMN_ROLE_INPUT, fact.signature.inputs),
                (types.COLUMN_ROLE_OUTPUT, fact.signature.outputs),
            ):
                version.columns.extend(
                    types.BaselineColumn(name=one.name, role=role, categorical=one.type in _CATEGORICAL)
                    for one in columns
                )
            version.answers = fact.answers


def evolve_known_endpoint(endpoint: types.KnownEndpoint, fact: Message, envelope: Fact) -> None:
    match fact:
        case deployment_facts.TrafficShifted():
            answering = [share for share in fact.traffic if share.percent > 0]
            answering.sort(key=lambda share: (-share.percent, share.version))
            endpoint.versions[:] = [share.version for share in answering]
        case deployment_facts.EndpointRemoved():
            del endpoint.versions[:]
            endpoint.removed = True


KNOWN_VERSION = kind(
    "registry",
    "projects/*/models/*/versions/#",
    types.KnownVersion,
    evolve_known_version,
    table="known_version",
    listens=(registry_facts.VersionRegistered,),
)
KNOWN_ENDPOINT = kind(
    "deployment",
    "projects/*/endpoints/*",
    types.KnownEndpoint,
    evolve_known_endpoint,
    table="known_endpoint",
    listens=(deployment_facts.TrafficShifted, deployment_facts.EndpointRemoved),
)
