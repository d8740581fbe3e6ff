"""The kinds of facts that are sent as JSON: those of every service, for webhooks carry all of a project's facts.

Protobuf reads an event only once its file is loaded, so this module loads them. One of another kind keeps its bytes.
"""

from modelog.known_events import kinds_of

KINDS = frozenset(name for service in ("registry", "deployment", "monitoring", "archive") for name in kinds_of(service))
