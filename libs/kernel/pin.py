"""What the log's stream has to look like. Whoever may change a stream can empty it, so a difference is an alarm."""

from collections.abc import Mapping, Sequence
from typing import Any

# Written as the server reports it. Only the number of replicas is a matter of the installation.
PINNED: Mapping[str, Any] = {
    "name": "LIFECYCLE",
    "subjects": ["lifecycle.>"],
    "retention": "limits",
    "storage": "file",
    "discard": "new",
    "max_age": 0,
    "max_msgs": -1,
    "max_msgs_per_subject": -1,
    "max_bytes": -1,
    "deny_delete": True,
    "deny_purge": True,
    "max_msg_size": 64 * 1024,
    "duplicate_window": 120_000_000_000,  # ns
}
_NEVER = (
    "sealed", "allow_rollup_hdrs", "allow_msg_ttl", "allow_msg_counter", "allow_msg_schedules", "no_ack",
    "republish", "subject_transform", "mirror", "sources", "discard_new_per_subject",
)  # fmt: skip


def drift(configuration: Mapping[str, Any]) -> Sequence[str]:
    """Every difference between a stream's configuration and the pinned one, in words; empty when there is none."""
    differences = [
        f"{key} is {configuration.get(key)!r}, pinned {value!r}"
        for key, value in PINNED.items()
        if configuration.get(key) != value
    ]
    return [*differences, *(f"{key} is set" for key in _NEVER if configuration.get(key))]
