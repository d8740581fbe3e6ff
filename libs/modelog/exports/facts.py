"""Facts into files: from where the last export ended up to the newest signed root of the log."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from modelog.audit import BadNote, Keys, open_checkpoint
from modelog.audit.tree import Tree, leaf_hash, push_left
from modelog.exports.folder import BadExport, Folder, WrongLog
from modelog.exports.forms import FORMS, Form
from modelog.exports.manifest import File, Manifest, made_by
from modelog.exports.rows import day_of, service_of
from modelog.sdk.facts import Entry

if TYPE_CHECKING:
    from modelog.archive.v1.types_pb2 import FactFilter
    from modelog.sdk import SyncClient

# What is in memory at once, whichever is reached first.
_MOST_ROWS = 50_000
_MOST_BYTES = 64 * 1024 * 1024
_TOLD_EVERY = 1000
# How partitions without a value are called where partitions are folders.
_NOTHING = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Exported:
    """What an export did. rows, files: new ones, of `manifest`'s."""

    manifest: Manifest
    rows: int
    files: int


def export_facts(
    client: "SyncClient",
    path: str | Path,
    form: str = "parquet",
    *,
    from_revision: int = 1,
    filter: "FactFilter | None" = None,  # noqa: A002 - the name of the field.
    key: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Exports to a new folder, or adds to one what is new, up to a signed root that covers the log's present end.

    form: `parquet`, `cloudevents` or `jsonl`. from_revision: of a new folder only. key: a private key
    (modelog.provenance.keys.private_key) that signs the manifest. progress: gets revisions done, and how many.

    BadExport when the folder holds something else; WrongLog when the log does not lead to its signed root, or not from
    what was exported before: then nothing is committed. ValueError where pyarrow is missing.
    """
    kind = FORMS[form]
    with Folder(Path(path)).alone() as folder:
        before = folder.manifest()
        folder.clear(before)
        if before and key is None and folder.is_signed:
            raise BadExport("the export so far is signed: give the key again, so that the whole stays signed")
        wanted = _wanted(client, form, before.from_revision if before else from_revision, filter)
        if before:
            _continues(before, wanted)
        first = before.to_revision + 1 if before else from_revision
        if wanted.to_revision < first:
            if before is None:
                raise BadExport(f"the log ends at revision {wanted.to_revision}: there is nothing from {first} on")
            folder.commit(before, key)
            return Exported(before, 0, 0)
        tree = _tree(before) if wanted.is_whole else None
        writer = _Writer(folder, kind)
        reader = client.subscribe(first, filter, to_revision=wanted.to_revision, follow=False)
        writer.take(_watched(reader, tree, first, wanted.to_revision, progress))
        _agrees(tree, wanted)
        done = replace(
            wanted,
            files=(*(before.files if before else ()), *writer.files),
            subtrees=[one.hex() for one in tree.parts] if tree else (),
        )
        folder.commit(done, key)
        return Exported(done, sum(one.rows for one in writer.files), len(writer.files))


def _wanted(client: "SyncClient", form: str, first: int, chosen: "FactFilter | None") -> Manifest:
    """What the export is to become, still without files: up to the newest signed root, with the keys it verifies by."""
    from modelog.archive.v1.archive_service_pb2 import GetCheckpointRequest, GetNotaryRequest

    head = max(1, client.catch_up("archive"))
    checkpoint = client.archive.GetCheckpoint(GetCheckpointRequest(covering_revision=head, wait=True))
    notary = client.archive.GetNotary(GetNotaryRequest())
    return Manifest(
        content="facts",
        form=form,
        made_by=made_by(),
        from_revision=first,
        to_revision=checkpoint.head.size,
        files=(),
        origin=checkpoint.origin,
        checkpoint=checkpoint.witnessed_note or checkpoint.note,
        keys=[one.vkey for one in notary.keys],
        rotations=[one.rotation for one in notary.keys if one.rotation],
        selection=selection_of(chosen),
    )


def selection_of(chosen: "FactFilter | None") -> dict[str, list[str]]:
    """A filter by its fields, in one order whoever writes it."""
    told = json_format.MessageToDict(chosen) if chosen is not None else {}
    return {name: sorted(value) if isinstance(value, list) else [str(value)] for name, value in sorted(told.items())}


def _continues(before: Manifest, wanted: Manifest) -> None:
    """Raises BadExport where one export cannot go on as the other, WrongLog where the log is not the one it was."""
    for name, said in (("content", "--format"), ("form", "--format"), ("selection", "the filter"), ("origin", "")):
        old, new = getattr(before, name), getattr(wanted, name)
        if dict(old) != dict(new) if name == "selection" else old != new:
            again = f"; say {said} as before, or choose another folder" if said else ": this is another log"
            raise BadExport(f"the folder holds {name} {old or 'everything'!r}, not {new or 'everything'!r}{again}")
    if before.keys and before.keys[0] not in wanted.keys:
        raise WrongLog("the log has another first key than when the export began: compare `modelog audit key`")
    if before.to_revision > wanted.to_revision:
        text = f"the export holds {before.to_revision} revisions, the signed log {wanted.to_revision}"
        raise WrongLog(f"{text}: the log was cut, or this is an older copy of it")


def _tree(before: Manifest | None) -> Tree:
    tree = Tree()
    if before:
        push_left(tree, [bytes.fromhex(one) for one in before.subtrees], before.to_revision)
    return tree


def _agrees(tree: Tree | None, wanted: Manifest) -> None:
    """Raises WrongLog unless what was read leads to the signed root."""
    try:
        signed = open_checkpoint(wanted.checkpoint, Keys(wanted.keys[0], wanted.rotations))
    except BadNote as bad:
        raise WrongLog(f"the log's checkpoint does not verify: {bad}") from bad
    if tree is not None and (tree.size, tree.root()) != (signed.size, signed.root):
        raise WrongLog(
            f"the facts do not lead to the root signed at {signed.size}: nothing was added; see `modelog audit scrub`"
        )


def _watched(
    entries: Iterable[Entry], tree: Tree | None, first: int, last: int, progress: Callable[[int, int], None] | None
) -> Iterable[Entry]:
    for entry in entries:
        if tree is not None:
            tree.push(leaf_hash(entry.payload))
        if progress is not None and entry.revision % _TOLD_EVERY == 0:
            progress(entry.revision - first + 1, last - first + 1)
        yield entry
    if progress is not None:
        progress(last - first + 1, last - first + 1)


@dataclass
class _Writer:
    """Gathers facts by day and service, and writes a file for each when enough are gathered."""

    folder: Folder
    form: Form
    files: list[File] = field(default_factory=list)
    _parts: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)

    def take(self, entries: Iterable[Entry]) -> None:
        rows = size_bytes = 0
        for entry in entries:
            day = day_of(entry)
            part = f"facts/day={day or _NOTHING}/service={service_of(entry) or _NOTHING}"
            self._parts.setdefault(part, []).append((entry.revision, self.form.record(entry)))
            rows, size_bytes = rows + 1, size_bytes + len(entry.payload)
            if rows >= _MOST_ROWS or size_bytes >= _MOST_BYTES:
                self._flush()
                rows = size_bytes = 0
        self._flush()

    def _flush(self) -> None:
        parts, self._parts = self._parts, {}
        for part, records in parts.items():
            first, last = records[0][0], records[-1][0]
            name = f"{part}/{first:012d}-{last:012d}{self.form.suffix}"
            self.files.append(self._file(name, [one for _, one in records], (first, last)))

    def _file(self, name: str, records: Sequence[Any], revisions: tuple[int, int]) -> File:
        return self.folder.add(name, lambda path: self.form.write(path, records), len(records), revisions)
