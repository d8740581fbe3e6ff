"""Rules about the protos: each takes the image of all of them and yields sentences about what breaks it."""

import re
from collections.abc import Callable, Iterator

from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from modelog.buf.validate import validate_pb2
from modelog.type.v1 import options_pb2
from tests.house.image import Image, Method, undocumented

ProtoRule = Callable[[Image], Iterator[str]]

Type = FieldDescriptorProto.Type
PERMISSION = re.compile(r"[a-z]+\.([a-z_]+\.)?[a-z_]+")
READ_OPTIONS = ".modelog.type.v1.ReadOptions"
TIMESTAMP = ".google.protobuf.Timestamp"

# Written by the kernel alone, at the same numbers in every resource: name -> (number, type).
HEADER = {
    "name": (1, Type.TYPE_STRING, ""),
    "generation": (2, Type.TYPE_INT64, ""),
    "revision": (3, Type.TYPE_INT64, ""),
    "create_time": (4, Type.TYPE_MESSAGE, TIMESTAMP),
    "update_time": (5, Type.TYPE_MESSAGE, TIMESTAMP),
    "quarantine": (6, Type.TYPE_MESSAGE, ".modelog.type.v1.Quarantine"),
}
OWN_FIELDS_FROM = 10

# Answered from a stream or from the process itself, not from a view, so there is no resource and nothing to wait for.
NO_VIEW = frozenset(
    "modelog.archive.v1.ArchiveService.GetCheckpoint modelog.archive.v1.ArchiveService.ListCheckpoints"
    " modelog.archive.v1.ArchiveService.GetNotary modelog.archive.v1.ArchiveService.GetInclusionProof"
    " modelog.archive.v1.ArchiveService.GetConsistencyProof modelog.archive.v1.ArchiveService.VerifyRecord"
    " modelog.archive.v1.ArchiveService.ListAccessRecords modelog.registry.v1.WebhookService.ListDeliveries"
    " modelog.archive.v1.SubscriptionService.GetSubscriptionProgress"
    " modelog.archive.v1.SubscriptionService.PullFacts modelog.archive.v1.SubscriptionService.AcknowledgeFacts"
    " modelog.archive.v1.SubscriptionService.ExtendDeadline"
    " modelog.deployment.v1.DeploymentService.GetEndpointStatus"
    " modelog.status.v1.StatusService.GetStatus modelog.status.v1.StatusService.WhoAmI".split()
)
# Writes that record no fact, so there is nothing to give a reason for: telemetry, how far somebody has read, a trial.
NO_FACT = frozenset(
    "modelog.monitoring.v1.MonitoringService.RecordOutcomes modelog.monitoring.v1.MonitoringService.Ingest"
    " modelog.monitoring.v1.MonitoringService.RetryRejectedBatch modelog.registry.v1.CollaborationService.MarkRead"
    " modelog.registry.v1.WebhookService.TestWebhook".split()
)
# Columns of numbers where a missing one is NaN.
MAY_BE_NAN = frozenset(
    [".modelog.monitoring.v1.TelemetryColumn.numbers", ".modelog.monitoring.v1.SampledColumn.numbers"]
)

# What a field that holds the name of a resource is called.
RESOURCE_WORDS = frozenset(
    "project projects model models version versions parent_version successor environment environments endpoint"
    " endpoints rollout monitor alert retraining answers record hold resource resources".split()
)
# Called so, but not the name of one.
NO_NAME = frozenset[str]()

_NUMBERS = {
    getattr(Type, f"TYPE_{name.upper()}"): name
    for name in "int32 int64 uint32 uint64 sint32 sint64 fixed32 fixed64 sfixed32 sfixed64 float double".split()
}
_BOUNDS = ("const", "in", "lt", "lte", "gt", "gte")


def everything_is_documented(image: Image) -> Iterator[str]:
    for file in image.files:
        yield from undocumented(file)


def every_method_has_a_permission(image: Image) -> Iterator[str]:
    for method in image.methods:
        permission: str = method.proto.options.Extensions[options_pb2.required_permission]  # type: ignore[index]
        service = method.package.split(".")[1]
        if not PERMISSION.fullmatch(permission) or not permission.startswith(f"{service}."):
            yield f"{method.name}: required_permission {permission!r} is not of the form service.collection.verb"


def _is_resource(image: Image, method: Method) -> bool:
    return method.proto.name == f"Get{method.proto.output_type.rpartition('.')[2]}" and method.name not in NO_VIEW


def resources_have_the_header(image: Image) -> Iterator[str]:
    """What Get answers, and whatever else is folded by the kernel: it has a generation."""
    folded = {method.proto.output_type for method in image.methods if _is_resource(image, method)}
    folded |= {name for name in image.messages if "generation" in image.fields(name) and not _is_envelope(name)}
    for name in sorted(folded):
        fields = image.fields(name)
        for wanted, (number, kind, type_name) in HEADER.items():
            field = fields.get(wanted)
            if field is None or (field.number, field.type, field.type_name) != (number, kind, type_name):
                yield f"{name[1:]}: field {number} is not the shared `{wanted}`"
        for field in fields.values():
            if field.name not in HEADER and field.number < OWN_FIELDS_FROM:
                yield f"{name[1:]}: {field.name} = {field.number} stands in the kernel's numbers 1-9"


def _is_envelope(name: str) -> bool:
    """The fact, and what is answered about facts, have a generation as well but are not folded."""
    words = name.rpartition(".")[2]
    return name.startswith(".modelog.log.") or "Fact" in words or words.endswith(("Request", "Response"))


def requests_are_reads_or_writes(image: Image) -> Iterator[str]:
    """A write has request_id and reason, each message of one that streams to us as well, and a read says how fresh; a
    call that only streams from us starts where it is told."""
    for method in image.methods:
        if method.name in NO_VIEW or (method.proto.server_streaming and not method.proto.client_streaming):
            continue
        fields = image.fields(method.proto.input_type)
        reads = "read" in fields and fields["read"].type_name == READ_OPTIONS
        writes = "request_id" in fields
        must_read = method.proto.name.startswith(("Get", "List", "Search"))
        if must_read and not reads:
            yield f"{method.name}: a read without `modelog.type.v1.ReadOptions read`"
        elif reads == writes:
            yield f"{method.name}: takes neither or both of `request_id` (a write) and `read` (a read)"
        elif writes and "reason" not in fields and method.name not in NO_FACT:
            yield f"{method.name}: a write without `reason`"


def lists_have_pages(image: Image) -> Iterator[str]:
    for method in image.methods:
        if not method.proto.name.startswith(("List", "Search")):
            continue
        asked, answered = image.fields(method.proto.input_type), image.fields(method.proto.output_type)
        for field in ("page_size", "page_token"):
            if field not in asked:
                yield f"{method.name}: its request has no {field}"
        first = next((field for field in answered.values() if field.number == 1), None)
        if first is None or first.label != FieldDescriptorProto.Label.LABEL_REPEATED:
            yield f"{method.name}: field 1 of its reply is not the repeated result"
        if "next_page_token" not in answered or answered["next_page_token"].number != 2:
            yield f"{method.name}: field 2 of its reply is not next_page_token"


def requests_are_limited(image: Image) -> Iterator[str]:
    """Whatever a caller can fill has a declared limit, however deep inside the request it stands."""
    requests = {name for method in image.methods for name in image.reached(method.proto.input_type)}
    for name in sorted(requests):
        for field in image.messages[name].field:
            rules: validate_pb2.FieldRules = field.options.Extensions[validate_pb2.field]  # type: ignore[index]
            missing = _missing_limit(image, field, rules)
            if missing.endswith(".finite") and f"{name}.{field.name}" in MAY_BE_NAN:
                continue
            if missing and not image.messages[name].options.map_entry:
                yield f"{name[1:]}.{field.name}: no {missing}"


def _missing_limit(image: Image, field: FieldDescriptorProto, rules: validate_pb2.FieldRules) -> str:
    """What limit a field lacks; empty when it has all."""
    entry = image.messages.get(field.type_name)
    if entry is not None and entry.options.map_entry:
        key, value = entry.field
        if not rules.map.HasField("max_pairs"):
            return "max_pairs"
        return _missing_scalar(key, rules.map.keys, "keys.") or _missing_scalar(value, rules.map.values, "values.")
    if field.label == FieldDescriptorProto.Label.LABEL_REPEATED:
        if not rules.repeated.HasField("max_items"):
            return "max_items"
        return _missing_scalar(field, rules.repeated.items, "items.")
    return _missing_scalar(field, rules, "")


def _missing_scalar(field: FieldDescriptorProto, rules: validate_pb2.FieldRules, where: str) -> str:
    if field.type == Type.TYPE_STRING:
        bounded = any(rules.string.HasField(name) for name in ("max_len", "len", "max_bytes", "const"))
        bounded = bounded or bool(getattr(rules.string, "in")) or _ends(rules.string.pattern)
        return "" if bounded else f"{where}string.max_len"
    if field.type == Type.TYPE_BYTES:
        return "" if rules.bytes.HasField("max_len") or rules.bytes.HasField("len") else f"{where}bytes.max_len"
    if field.type not in _NUMBERS:
        return ""
    kind = _NUMBERS[field.type]
    declared = {one.name for one, _ in getattr(rules, kind).ListFields()}
    if kind in ("float", "double"):
        finite = "finite" in declared or (declared & {"lt", "lte"} and declared & {"gt", "gte"})
        return "" if finite else f"{where}{kind}.finite"
    return "" if declared & set(_BOUNDS) else f"{where}{kind} range"


def _ends(pattern: str) -> bool:
    """Whether all that a pattern matches is of limited length: anchored on both sides, nothing repeats freely."""
    bare = re.sub(r"\[[^\]]*\]", "x", re.sub(r"\\.", "x", pattern))
    return bare.startswith("^") and bare.endswith("$") and not re.search(r"[*+]|\{\d*,\}", bare)


def names_in_requests_are_marked(image: Image) -> Iterator[str]:
    """Access is decided on every resource that a request names, so whatever names one has to say so."""
    for method in image.methods:
        for message in sorted(image.reached(method.proto.input_type)):
            outermost = message == method.proto.input_type
            for field in image.messages[message].field:
                if field.type != Type.TYPE_STRING or (outermost and field.name in ("name", "names", "parent")):
                    continue
                speaks = "`projects/" in image.comments.get(f"{message}.{field.name}", "")
                marked: int = field.options.Extensions[options_pb2.names]  # type: ignore[index]
                if (speaks or field.name in RESOURCE_WORDS) and not marked and f"{message}.{field.name}" not in NO_NAME:
                    yield f"{message[1:]}.{field.name} names a resource: mark it with (modelog.type.v1.names)"


RULES: tuple[ProtoRule, ...] = (
    everything_is_documented,
    every_method_has_a_permission,
    resources_have_the_header,
    requests_are_reads_or_writes,
    lists_have_pages,
    requests_are_limited,
    names_in_requests_are_marked,
)
