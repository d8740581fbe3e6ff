"""The state of everything as tables: one Parquet file for each kind of resource, all as of one revision."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format, message_factory

from modelog.exports.folder import BadExport, Folder
from modelog.exports.forms import arrow
from modelog.exports.manifest import File, Manifest, made_by
from modelog.exports.rows import compact
from modelog.sdk.errors import Denied
from modelog.sdk.moments import located
from modelog.sdk.paging import pages

if TYPE_CHECKING:
    from modelog.sdk import SyncClient

_SECOND_MICROSECONDS = 1_000_000
_TIMESTAMP = "google.protobuf.Timestamp"


@dataclass(frozen=True)
class Table:
    """One kind of resource. method: `stub.Method` of a client; below: what follows a project's name in its parent, None
    for what is below no project."""

    name: str
    method: str
    module: str
    below: str | None = ""


_REGISTRY = "registry.v1.registry_service_pb2"
_DEPLOYMENT = "deployment.v1.deployment_service_pb2"
_MONITORING = "monitoring.v1.monitoring_service_pb2"
_ARCHIVE = "archive.v1.archive_service_pb2"
TABLES: Sequence[Table] = (
    Table("projects", "registry.ListProjects", _REGISTRY, None),
    Table("models", "registry.ListModels", _REGISTRY),
    Table("versions", "registry.ListVersions", _REGISTRY, "/models/-"),
    Table("threads", "collaboration.ListThreads", "registry.v1.collaboration_service_pb2", "/models/-"),
    Table("webhooks", "webhooks.ListWebhooks", "registry.v1.webhook_service_pb2"),
    Table("environments", "deployment.ListEnvironments", _DEPLOYMENT),
    Table("endpoints", "deployment.ListEndpoints", _DEPLOYMENT),
    Table("rollouts", "deployment.ListRollouts", _DEPLOYMENT, "/endpoints/-"),
    Table("serving_intervals", "deployment.ListServingIntervals", _DEPLOYMENT),
    Table("monitors", "monitoring.ListMonitors", _MONITORING),
    Table("alerts", "monitoring.ListAlerts", _MONITORING, "/monitors/-"),
    Table("retrainings", "monitoring.ListRetrainings", _MONITORING, "/monitors/-"),
    Table("retirements", "monitoring.ListRetirements", _MONITORING, "/monitors/-"),
    Table("silences", "monitoring.ListSilences", _MONITORING),
    Table("records", "archive.ListRecords", _ARCHIVE),
    Table("holds", "archive.ListHolds", _ARCHIVE),
    Table("retentions", "retentions.ListRetentions", "archive.v1.retention_service_pb2"),
    Table("erasures", "erasures.ListErasures", "archive.v1.erasure_service_pb2"),
    Table("subscriptions", "subscriptions.ListSubscriptions", "archive.v1.subscription_service_pb2"),
)


def export_views(
    client: "SyncClient",
    path: str | Path,
    moment: int | datetime,
    *,
    projects: Sequence[str] = (),
    key: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Replaces what the folder holds by the state of all projects, or of these, as of a revision or a time.

    Kinds that the caller may not read in some project are named in the manifest's `omitted`. BadExport when the folder
    holds something else; ValueError where pyarrow is missing.
    """
    arrow()
    revision = moment if isinstance(moment, int) else _revision(client, moment)
    with Folder(Path(path)).alone() as folder, client.as_of(revision) as then:
        before = folder.manifest()
        if before and before.content != "views":
            raise BadExport(f"the folder holds {before.content}: choose another folder")
        folder.clear(before)
        files: list[File] = []
        omitted: list[str] = []
        names: list[str] = []
        for number, table in enumerate(TABLES, 1):
            items = list(_read(then, table, names, omitted))
            if table.below is None:
                items = [one for one in items if not projects or one.name in projects]
                names = [one.name for one in items]
            files.append(_written(folder, f"views/at={revision}/{table.name}.parquet", table, items))
            if progress is not None:
                progress(number, len(TABLES))
        made = Manifest(
            content="views",
            form="parquet",
            made_by=made_by(),
            from_revision=revision,
            to_revision=revision,
            files=files,
            selection={"projects": sorted(projects)} if projects else {},
            omitted=omitted,
        )
        folder.commit(made, key)
        return made


def _revision(client: "SyncClient", time: datetime) -> int:
    """Services that are asked about one revision tell of one moment; asked about a time, each goes by its own clock."""
    with client.as_of(time) as then:
        revision = int(located(then).revision)
    if not revision:
        raise BadExport(f"nothing was recorded before {time.isoformat()}: there was no state yet")
    return revision


def _read(client: "SyncClient", table: Table, projects: Iterable[str], omitted: list[str]) -> Iterator[Any]:
    stub, _, name = table.method.partition(".")
    method = getattr(getattr(client, stub), name)
    request = message_factory.GetMessageClass(method_of(table).input_type)
    if table.below is None:
        yield from pages(method, request())
        return
    for project in projects:
        try:
            yield from pages(method, request(parent=project + table.below))
        except Denied:
            omitted.append(f"{table.name} of {project}")


def method_of(table: Table) -> Any:
    """The descriptor of a table's method."""
    (service,) = import_module(f"modelog.{table.module}").DESCRIPTOR.services_by_name.values()
    return service.methods_by_name[table.method.partition(".")[2]]


def item_of(table: Table) -> Any:
    """The descriptor of what a table's rows are made of."""
    (items,) = (one for one in method_of(table).output_type.fields if one.is_repeated)
    return items.message_type


def _written(folder: Folder, name: str, table: Table, items: Sequence[Any]) -> File:
    pa, parquet = arrow()
    fields = list(item_of(table).fields)
    schema = pa.schema([(one.name, _type(pa, one)) for one in fields])
    arrays = [pa.array([value(item, one) for item in items], _type(pa, one)) for one in fields]
    made = pa.Table.from_arrays(arrays, schema=schema)
    return folder.add(name, lambda path: parquet.write_table(made, path, compression="zstd"), len(items))


def _type(pa: Any, field: Any) -> Any:
    """The column of a field: scalars and times as such, lists of texts as lists, everything else as JSON."""
    if field.is_repeated:
        return pa.list_(pa.string()) if field.cpp_type == field.CPPTYPE_STRING else pa.string()
    if field.message_type is not None:
        return (
            pa.timestamp("us", tz="UTC") if field.message_type.full_name == "google.protobuf.Timestamp" else pa.string()
        )
    return {
        field.CPPTYPE_BOOL: pa.bool_(),
        field.CPPTYPE_INT32: pa.int32(),
        field.CPPTYPE_INT64: pa.int64(),
        field.CPPTYPE_UINT32: pa.uint32(),
        field.CPPTYPE_UINT64: pa.uint64(),
        field.CPPTYPE_DOUBLE: pa.float64(),
        field.CPPTYPE_FLOAT: pa.float32(),
    }.get(field.cpp_type, pa.binary() if field.type == field.TYPE_BYTES else pa.string())


def value(item: Any, field: Any) -> Any:
    """What a column says of an item; None for a message that is not there."""
    if field.has_presence and not item.HasField(field.name):
        return None
    found = getattr(item, field.name)
    if field.is_repeated:
        return list(found) if field.cpp_type == field.CPPTYPE_STRING else _json(item, field)
    if field.message_type is not None:
        if field.message_type.full_name == _TIMESTAMP:
            return found.seconds * _SECOND_MICROSECONDS + found.nanos // 1000
        return _json(item, field)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(found)
        return known.name if known else str(found)
    return found


def _json(item: Any, field: Any) -> str:
    """A part of a message as the API's JSON has it; an empty list or map as such."""
    whole = json_format.MessageToDict(_alone(item, field), always_print_fields_with_no_presence=True)
    return compact(whole.get(field.json_name))


def _alone(item: Any, field: Any) -> Any:
    """A message of the same kind with nothing but this field."""
    made = message_factory.GetMessageClass(item.DESCRIPTOR)()
    getattr(made, field.name).MergeFrom(getattr(item, field.name))
    return made
