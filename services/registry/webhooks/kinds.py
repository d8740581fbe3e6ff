"""The kinds of facts that are sent as JSON: those of every service, for webhooks carry all of a project's facts.

Protobuf reads an event only once its file is loaded, so this module loads them. One of another kind keeps its bytes.
"""

from modelog.archive.v1 import events_pb2 as archive
from modelog.deployment.v1 import events_pb2 as deployment
from modelog.monitoring.v1 import events_pb2 as monitoring
from modelog.registry.v1 import collaboration_events_pb2 as collaboration
from modelog.registry.v1 import events_pb2 as registry

KINDS = frozenset(
    name
    for file in (registry, collaboration, deployment, monitoring, archive)
    for name in file.DESCRIPTOR.message_types_by_name
)
