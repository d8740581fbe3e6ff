"""Verifies a pack offline: every file, the signature, the signed root, and the proof of every fact it rests on.

Codes of findings beside those of `modelog.audit`: NOT_A_PACK: no manifest that could be read. BAD_SIGNATURE of
manifest.dsse: not signed by a key that was named, or about another manifest. FACT_CHANGED: facts.jsonl tells a fact
otherwise than its proved bytes. FACT_MISSING, FACT_UNPROVED: one that is proved but not told, or the other way.
FACT_LEFT_OUT: the log, as a bundle has it, holds a fact that the pack's own selection takes in, and the pack does not.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelog.audit.keys import Keys
from modelog.audit.note import BadNote, Checkpoint, open_checkpoint
from modelog.audit.proof import verify_leaf
from modelog.audit.report import Report
from modelog.audit.tree import leaf_hash
from modelog.packs.complete import complete
from modelog.packs.folder import ENVELOPE, FORMAT, MANIFEST, PREDICATE, fact_line, proof_file
from modelog.provenance.envelopes import BadEnvelope, opened
from modelog.provenance.keys import Key
from modelog.provenance.statements import read as read_statement

_FACTS = "facts.jsonl"


def verify(folder: str | Path, vkey: str, signers: Sequence[Key] | None, bundle: str | Path = "") -> Report:
    """Checks a pack against the log's public key and the public keys of those who may sign packs.

    vkey: any key the log has had up to the pack's checkpoint. signers: one of them has to have signed; None leaves the
    signature out and says so in the notes. bundle: an export of the log from its first fact on, by which it is checked
    that nothing was left out. Never raises for what is in the files: it becomes a finding.
    """
    report = Report()
    pack = _Pack(Path(folder), report)
    manifest = pack.manifest()
    if manifest is None:
        return report
    if signers is None:
        report.notes.append("the signature of whoever made the pack was not checked; `audit pack verify` does")
    else:
        _signature(pack, signers, report)
    _files(pack, manifest["files"], report)
    try:
        keys = Keys(vkey, pack.rotations())
    except BadNote as bad:
        report.found("BAD_SIGNATURE", f"the log's key: {bad}")
        return report
    head = _checkpoint(pack, manifest, keys, report)
    proved = {revision: _proved(pack, revision, keys, head, report) for revision in manifest["facts"]}
    _told(pack, proved, report)
    if bundle:
        complete(manifest, Path(bundle), vkey, report)
    else:
        report.notes.append("that no fact was left out was not checked; with a bundle of the log it can be: --bundle")
    report.entries = len(proved)
    if proved:
        report.from_revision, report.to_revision = min(proved), max(proved)
    return report


class _Pack:
    """The files that are there, by their paths. What is no plain file is not read, wherever it leads to."""

    def __init__(self, folder: Path, report: Report) -> None:
        self._report = report
        self.paths = dict(_walk(folder, report))

    def read(self, name: str) -> bytes | None:
        """None, and reported, when it is not there."""
        path = self.paths.get(name)
        try:
            if path is not None:
                return path.read_bytes()
            self._report.found("FILE_MISSING", f"{name} is missing", file=name)
        except OSError as error:
            self._report.found("FILE_UNREADABLE", f"{name}: {error.strerror}", file=name)
        return None

    def text(self, name: str) -> str:
        return (self.read(name) or b"").decode(errors="replace")

    def manifest(self) -> dict[str, Any] | None:
        """None, and reported, when there is none that makes sense."""
        if MANIFEST in self.paths:
            found = _object(self.read(MANIFEST) or b"")
            if found.get("format") == FORMAT and _is_whole(found):
                return found
        self._report.found("NOT_A_PACK", f"there is no {MANIFEST} of the form {FORMAT}", file=MANIFEST)
        return None

    def rotations(self) -> list[str]:
        keys = _object(self.read("policy.json") or b"").get("keys")
        listed = keys if isinstance(keys, list) else []
        return [str(one["rotation"]) for one in listed if isinstance(one, dict) and "rotation" in one]


def _is_whole(manifest: Mapping[str, Any]) -> bool:
    """Whether it has what the checks look at, and no facts from behind the revision that it is of."""
    files, facts, revision = (manifest.get(name) for name in ("files", "facts", "revision"))
    if not (isinstance(files, dict) and isinstance(facts, list) and isinstance(manifest.get("checkpoint"), dict)):
        return False
    return isinstance(revision, int) and all(isinstance(one, int) and 0 < one <= revision for one in facts)


def _walk(folder: Path, report: Report) -> Iterator[tuple[str, Path]]:
    for inside, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(inside) / name).is_symlink()]
        folders[:] = sorted(set(folders) - set(links))
        for name in sorted([*names, *links]):
            path = Path(inside) / name
            if path.is_symlink() or not path.is_file():
                text = f"{path.relative_to(folder)} is a link, or no plain file"
                report.found("FILE_UNEXPECTED", text, file=str(path.relative_to(folder)))
            else:
                yield path.relative_to(folder).as_posix(), path


def _signature(pack: _Pack, signers: Sequence[Key], report: Report) -> None:
    raw = pack.read(ENVELOPE)
    if raw is None:
        return
    try:
        envelope = opened(raw)
        statement = read_statement(envelope.payload)
    except BadEnvelope as bad:
        report.found("BAD_SIGNATURE", f"{ENVELOPE}: {bad}", file=ENVELOPE)
        return
    if not envelope.signed_by(signers):
        named = ", ".join(one.keyid[:16] for one in envelope.signatures if one.keyid) or "a key it does not name"
        text = f"signed by none of the keys that were given; it says by {named}"
        report.found("BAD_SIGNATURE", text, file=ENVELOPE)
    digest = hashlib.sha256(pack.read(MANIFEST) or b"").hexdigest()
    if statement.predicate_type != PREDICATE or statement.digests != (digest,):
        report.found("BAD_SIGNATURE", f"what was signed is another manifest than this {MANIFEST}", file=MANIFEST)


def _files(pack: _Pack, listed: Mapping[str, Any], report: Report) -> None:
    for name in sorted(set(pack.paths) - set(listed) - {MANIFEST, ENVELOPE}):
        report.found("FILE_UNEXPECTED", f"{name} is not in the manifest", file=name)
    for name, entry in sorted(listed.items()):
        content = pack.read(name)
        digest = entry.get("sha256") if isinstance(entry, dict) else None
        if content is not None and hashlib.sha256(content).hexdigest() != digest:
            report.found("FILE_CHANGED", f"{name} is not what the manifest says", file=name)


def _checkpoint(pack: _Pack, manifest: Mapping[str, Any], keys: Keys, report: Report) -> Checkpoint | None:
    if "checkpoint" not in pack.paths:
        return None  # Reported with the other files.
    try:
        head = open_checkpoint(pack.text("checkpoint"), keys)
    except BadNote as bad:
        report.found("BAD_SIGNATURE", f"checkpoint: {bad}", file="checkpoint")
        return None
    report.checkpoints += 1
    report.origin, report.size, report.root = head.origin, head.size, head.root.hex()
    told = manifest["checkpoint"]
    if (told.get("origin"), told.get("size"), told.get("root")) != (head.origin, head.size, head.root.hex()):
        text = f"the manifest speaks of another root than the signed one of size {head.size}"
        report.found("WRONG_CHECKPOINT", text, file=MANIFEST)
    elif head.size < manifest["revision"]:
        text = f"the signed root covers {head.size} facts, and the pack is as of revision {manifest['revision']}"
        report.found("WRONG_CHECKPOINT", text, file=MANIFEST)
    return head


def _proved(pack: _Pack, revision: int, keys: Keys, head: Checkpoint | None, report: Report) -> bytes | None:
    """The bytes of a fact once its proof holds, leads to the pack's own root, and is of this place in the log."""
    fact, proof = proof_file(revision, "fact"), proof_file(revision, "tlog-proof")
    if fact not in pack.paths or proof not in pack.paths:
        text = f"the fact of revision {revision} has no proof here"
        report.found("FACT_UNPROVED", text, revision=revision, file=fact)
        return None
    payload, text = pack.read(fact) or b"", pack.text(proof)
    before = len(report.findings)
    place = verify_leaf(leaf_hash(payload), text, keys, report, proof)
    if place not in (0, revision):
        report.found("BAD_PROOF", f"{proof} speaks of revision {place}", revision=revision, file=proof)
    elif place and head is not None and len(report.findings) == before:
        other = open_checkpoint(text.partition("\n\n")[2], keys)
        if other != head:
            told = f"the proof of revision {revision} leads to the root of size {other.size}, not to the pack's own"
            report.found("WRONG_CHECKPOINT", told, revision=revision, file=proof)
    return payload if len(report.findings) == before else None


def _told(pack: _Pack, proved: Mapping[int, bytes | None], report: Report) -> None:
    """Whether facts.jsonl tells what was proved, and all of it."""
    if _FACTS not in pack.paths:
        return
    seen = set()
    for number, line in enumerate((pack.read(_FACTS) or b"").decode(errors="replace").splitlines(keepends=True), 1):
        revision = _revision(line)
        seen.add(revision)
        if revision not in proved:
            text = f"line {number} tells of revision {revision or 'nothing'}, of which there is no proof"
            report.found("FACT_UNPROVED", text, revision=revision, file=_FACTS)
            continue
        payload = proved[revision]
        if payload is not None and line != fact_line(revision, payload):
            text = f"the fact of revision {revision} is told otherwise than it was recorded"
            report.found("FACT_CHANGED", text, revision=revision, file=_FACTS)
    for revision in sorted(proved.keys() - seen):
        report.found("FACT_MISSING", f"revision {revision} is proved but not told", revision=revision, file=_FACTS)


def _revision(line: str) -> int:
    told = str(_object(line.encode()).get("revision", ""))
    return int(told) if told.isdecimal() and len(told) < 19 else 0


def _object(raw: bytes) -> dict[str, Any]:
    """A JSON object; empty for anything else."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
