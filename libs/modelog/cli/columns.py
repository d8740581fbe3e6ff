"""Which fields of a kind a table shows, in this order: dotted paths, `:title` where the last part says too little."""

from collections.abc import Mapping, Sequence

COLUMNS: Mapping[str, Sequence[str]] = {
    "modelog.registry.v1.Project": ("name", "title", "roles", "revision", "update_time"),
    "modelog.registry.v1.Model": ("name", "details.title", "details.task", "details.owners", "aliases", "retired"),
    "modelog.registry.v1.Version": (
        "name", "stage", "phase", "transition.state:transition", "artifact.format", "framework", "author", "revision",
        "create_time",
    ),
    "modelog.registry.v1.Review": ("kind", "decision", "reviewer", "delegated_by", "review_time", "comment"),
    "modelog.registry.v1.ReviewDelegation": (
        "number", "delegated_by", "delegate", "kind", "model", "start_time", "expire_time",
    ),
    "modelog.registry.v1.Finding": (
        "number", "severity", "state", "title", "kind", "raised_by", "raise_time", "answer.answered_by",
        "answer.expire_time:accepted until",
    ),
    "modelog.registry.v1.Stage": ("id", "phase", "next", "description"),
    "modelog.registry.v1.Provenance": (
        "number", "outcome", "kind", "predicate_type", "builder", "key_ids", "recorded_by", "record_time",
    ),
    "modelog.registry.v1.DerivedVersion": ("name", "derivation", "revision"),
    "modelog.registry.v1.Emergency": (
        "number", "principal", "role", "reason", "start_time", "expire_time", "reviewed_by", "justified", "comment",
    ),
    "modelog.registry.v1.Thread": ("name", "target.name:about", "title", "state", "participants", "update_time"),
    "modelog.registry.v1.Task": ("time", "kind", "resource", "explanation", "command"),
    "modelog.registry.v1.Webhook": ("name", "state", "settings.url", "settings.subjects", "created_by", "update_time"),
    "modelog.registry.v1.Delivery": (
        "attempt", "start_time", "revision", "event_type", "outcome", "status", "duration_ms", "redelivery", "error",
    ),
    "modelog.registry.v1.AccessFinding": ("reason", "principal", "explanation"),
    "modelog.registry.v1.GateOutcome": ("name", "kind", "result", "condition", "reason"),
    "modelog.deployment.v1.Environment": (
        "name", "driver", "admitted_phases", "approvals_needed", "protected", "removed",
    ),
    "modelog.deployment.v1.Endpoint": ("name", "state", "traffic", "address", "environment"),
    "modelog.deployment.v1.Rollout": (
        "name", "state", "version", "previous_version", "steps_passed", "cause", "requested_by", "update_time",
    ),
    "modelog.deployment.v1.ServingInterval": (
        "version", "endpoint", "percent", "from_time", "to_time", "rollout", "requested_by", "approved_by", "cause",
    ),
    "modelog.deployment.v1.RecordedRepair": (
        "record_time", "endpoint", "repair.object", "repair.finding", "repair.means", "revision",
    ),
    "modelog.monitoring.v1.Monitor": ("name", "endpoint", "state", "checks", "windows", "alerts"),
    "modelog.monitoring.v1.Alert": (
        "name", "state", "severity", "rule", "check", "version", "statistic", "threshold", "create_time",
    ),
    "modelog.monitoring.v1.Silence": (
        "name", "monitor", "version", "rule", "check", "start_time", "end_time", "reason", "created_by", "ended_by",
    ),
    "modelog.monitoring.v1.Retraining": (
        "name", "state", "severity", "version", "alert", "deadline_time", "claimed_by", "started_by", "answered_by",
    ),
    "modelog.monitoring.v1.Retirement": ("name", "state", "version", "alert", "decided_by", "decision_reason"),
    "modelog.monitoring.v1.MetricPoint": (
        "window", "version", "check", "column", "value", "threshold", "outcome", "rows", "end_time",
    ),
    "modelog.monitoring.v1.RejectedBatch": ("position", "batch_id", "rows", "reason", "reject_time"),
    "modelog.archive.v1.Record": ("name", "version", "state", "fact_count", "size_bytes", "seal_time"),
    "modelog.archive.v1.Hold": ("name", "state", "title", "authority", "resources", "query", "placed_by"),
    "modelog.archive.v1.Retention": (
        "name", "state", "settings.priority", "settings.filter", "settings.days", "settings.for_ever", "settings.title",
    ),
    "modelog.archive.v1.Expected": ("record", "expires", "expire_time", "rule", "holds", "seal_time", "size_bytes"),
    "modelog.archive.v1.HeldVersion": ("version", "resource", "by_query", "record", "record_state"),
    "modelog.archive.v1.RecordErasure": (
        "record", "rule", "expire_time", "erase_time", "erase_revision", "paths", "size_bytes", "artifact",
        "text_count",
    ),
    "modelog.archive.v1.Erasure": (
        "name", "state", "authority", "requested_by", "erased_count", "held_count", "complete_time",
    ),
    "modelog.archive.v1.Subscription": (
        "name", "state", "settings.title", "from_revision", "settings.max_batches", "created_by", "update_time",
    ),
    "modelog.archive.v1.Checkpoint": ("name", "head.size", "head.root_hash", "sign_time"),
}  # fmt: skip
