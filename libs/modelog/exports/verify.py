"""Verifies an export offline: files, order, each row against its stored bytes, the whole against the signed root."""

import hashlib
import heapq
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from modelog.audit import BadNote, Keys, Report, open_checkpoint
from modelog.audit.note import Checkpoint
from modelog.audit.tree import Tree, leaf_hash
from modelog.exports import manifest as manifests
from modelog.exports.forms import FORMS, Form
from modelog.exports.manifest import File, Manifest
from modelog.provenance.keys import Key
from modelog.sdk.facts import Entry

_CHUNK_ROWS = 1000


def verify_export(
    path: str | Path,
    *,
    log_key: str = "",
    keys: Sequence[Key] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Checks an exported folder without any server; everything wrong becomes a finding of the report.

    log_key: a verifier key of the log from a place you trust, else the one that the manifest names, and a note says so.
    keys: of those of whom one has to have signed the manifest. ValueError where pyarrow is needed and missing.
    """
    report, top = Report(), Path(path)
    try:
        content = (top / manifests.NAME).read_bytes()
        manifest = manifests.decoded(content)
    except (OSError, ValueError) as error:
        report.found("FILE_UNREADABLE", f"{manifests.NAME}: {error}", file=manifests.NAME)
        return report
    report.from_revision, report.to_revision = manifest.from_revision, manifest.to_revision
    _signed(top, content, keys, report)
    sound = _files(top, manifest, report)
    if manifest.content == "views":
        report.entries = manifest.rows
        return report
    checkpoint = _checkpoint(manifest, log_key, report)
    tree = _facts(top, manifest, [one for one in manifest.files if one.path in sound], report, progress)
    if manifest.is_whole and checkpoint is not None:
        if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
            report.found("WRONG_ROOT", f"the facts do not lead to the root signed at size {checkpoint.size}")
    elif not manifest.is_whole:
        report.notes.append("not everything from revision 1 on is here, so nothing was held against the signed root")
    return report


def _signed(top: Path, content: bytes, keys: Sequence[Key], report: Report) -> None:
    if not keys:
        report.notes.append("no key was given, so nobody answers for the manifest")
        return
    name = manifests.signature_name(content)
    try:
        envelope = (top / name).read_bytes()
    except OSError:
        report.found("BAD_SIGNATURE", "nobody has signed this manifest", file=manifests.NAME)
        return
    if not manifests.signers(content, envelope, keys):
        report.found("BAD_SIGNATURE", "none of the keys has signed this manifest", file=name)


def _files(top: Path, manifest: Manifest, report: Report) -> set[str]:
    """Those that are what the manifest says."""
    sound = set()
    for one in manifest.files:
        try:
            with (top / one.path).open("rb") as reading:
                digest = hashlib.file_digest(reading, "sha256").hexdigest()
        except OSError:
            report.found("FILE_MISSING", f"{one.path} is missing", file=one.path)
            continue
        if digest == one.sha256:
            sound.add(one.path)
        else:
            report.found("FILE_CHANGED", f"{one.path} is not what the manifest says", file=one.path)
    there = {one.relative_to(top).as_posix() for one in (top / manifest.content).rglob("*") if one.is_file()}
    for name in sorted(there - {one.path for one in manifest.files}):
        report.found("FILE_UNEXPECTED", f"{name} is not in the manifest: export again to have it removed", file=name)
    return sound


def _checkpoint(manifest: Manifest, log_key: str, report: Report) -> Checkpoint | None:
    """The signed root that covers the range."""
    if not log_key:
        report.notes.append("the log's key was taken from the manifest itself: compare it with one you trust")
    try:
        trusted = log_key or (manifest.keys[0] if manifest.keys else "")
        checkpoint = open_checkpoint(manifest.checkpoint, Keys(trusted, manifest.rotations))
    except BadNote as bad:
        report.found("BAD_SIGNATURE", f"checkpoint: {bad}", file=manifests.NAME)
        return None
    report.checkpoints = 1
    report.origin, report.size, report.root = checkpoint.origin, checkpoint.size, checkpoint.root.hex()
    if checkpoint.size < manifest.to_revision or checkpoint.origin != manifest.origin:
        text = f"the checkpoint is of {checkpoint.origin} at size {checkpoint.size}, which does not cover the export"
        report.found("WRONG_CHECKPOINT", text, file=manifests.NAME)
        return None
    return checkpoint


def _facts(
    top: Path,
    manifest: Manifest,
    files: Sequence[File],
    report: Report,
    progress: Callable[[int, int], None] | None,
) -> Tree:
    """Walks through all facts in the order of the log; the tree over them."""
    form, tree, others = FORMS[manifest.form], Tree(), 0
    expected = manifest.from_revision
    for entry, record, name in merged([_read(top, form, one, report) for one in _ordered(files)]):
        tree.push(leaf_hash(entry.payload))
        report.entries += 1
        if entry.revision < expected:
            text = f"revision {entry.revision} is there twice, or out of order"
            report.found("ENTRY_MOVED", text, revision=entry.revision, file=name)
        elif entry.revision > expected and not manifest.selection:
            _missing(expected, entry.revision, report)
        expected = max(expected, entry.revision + 1)
        again = form.record(entry)
        if again != record:
            if form.without_event(again) != form.without_event(record):
                text = "what the file says of this fact is not what its stored bytes say"
                report.found("ENTRY_CHANGED", text, revision=entry.revision, file=name)
            others += 1
        if entry.fact is None or not entry.fact.resource:
            report.unreadable += 1
        if progress is not None and report.entries % _CHUNK_ROWS == 0:
            progress(report.entries, manifest.rows)
    if expected <= manifest.to_revision and not manifest.selection:
        report.found("LOG_CUT", f"the facts end before revision {expected}", revision=expected)
    if others and report.ok:
        report.notes.append(f"{others} events read differently here: they were exported by another build")
    return tree


def _missing(expected: int, found: int, report: Report) -> None:
    last = found - 1
    text = f"revision {expected}" if expected == last else f"revisions {expected} to {last}"
    report.found("ENTRY_MISSING", f"{text}: not there", revision=expected)


Walked = tuple[Entry, Any, str]


def _ordered(files: Sequence[File]) -> list[File]:
    return sorted(files, key=lambda one: one.first_revision)


def _read(top: Path, form: Form, file: File, report: Report) -> tuple[int, Callable[[], Iterator[Walked]]]:
    """Where a file begins, and how it is read."""

    def read() -> Iterator[Walked]:
        count = 0
        try:
            for entry, record in form.read(top / file.path):
                count += 1
                yield entry, record, file.path
        except (OSError, ValueError) as error:
            report.found("FILE_UNREADABLE", f"{file.path}: {error}", file=file.path)
            return
        if count != file.rows:
            report.found("FILE_CHANGED", f"{file.path} has {count} rows, not {file.rows}", file=file.path)

    return file.first_revision, read


def merged(sources: Sequence[tuple[int, Callable[[], Iterator[Walked]]]]) -> Iterator[Walked]:
    """All of them by revision. One is opened when its turn comes, so that only those that overlap are open at once."""
    heap: list[tuple[int, int, Walked, Iterator[Walked]]] = []
    waiting = list(enumerate(sources))[::-1]

    def push(number: int, source: Iterator[Walked]) -> None:
        found = next(source, None)
        if found is not None:
            heapq.heappush(heap, (found[0].revision, number, found, source))

    while heap or waiting:
        while waiting and (not heap or waiting[-1][1][0] <= heap[0][0]):
            number, (_, opened) = waiting.pop()
            push(number, opened())
        if heap:
            _, number, found, source = heapq.heappop(heap)
            yield found
            push(number, source)
