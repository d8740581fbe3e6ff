"""A pack as files, its manifest and its signature. The same content and evidence always make the same bytes.

    index.html                        what people read
    data/<table>.csv, .json           every table of it
    cards/<version>.html              the card of each version, in a model's life
    states/<kind>.json                every resource it speaks of, whole, in the JSON form of its proto
    facts.jsonl                       the facts as CloudEvents, one a line, in order of the log
    proofs/<revision>.fact            the exact bytes of a fact, as they are stored
    proofs/<revision>.tlog-proof      that they stand there in the signed log (C2SP tlog-proof)
    checkpoint                        the signed root that all proofs lead to
    policy.json                       public keys of the log; take the key you trust from somewhere else
    manifest.json                     what was asked, and the SHA-256 of every other file
    manifest.dsse                     an in-toto statement about manifest.json, signed (DSSE)

Names of files are part of what is signed: the manifest lists all but itself and its signature.
"""

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from modelog.cloudevents import cloud_event
from modelog.log.v1.fact_pb2 import Fact
from modelog.packs.evidence import Evidence
from modelog.packs.page import page
from modelog.packs.parts import Content, Sheet
from modelog.provenance.envelopes import seal
from modelog.provenance.statements import STATEMENT

FORMAT = "modelog-evidence-pack/1"
PREDICATE = "https://modelog.dev/evidence-pack/v1"
MANIFEST, ENVELOPE = "manifest.json", "manifest.dsse"
# What makes a spreadsheet take a text for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def files_of(content: Content, evidence: Evidence, key: Any) -> dict[str, bytes]:
    """All files by their paths. key: the private key that signs; an Ed25519 one signs with the same bytes each time."""
    files = dict(sorted(_contents(content, evidence)))
    manifest = as_json(
        {
            "format": FORMAT,
            "kind": content.kind,
            "subject": content.subject,
            "parameters": dict(content.parameters),
            "revision": content.revision,
            "checkpoint": _head(evidence),
            "selection": content.selection.told(),
            "facts": [entry.revision for entry in content.entries],
            "files": {
                name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()
            },
        }
    )
    return files | {MANIFEST: manifest, ENVELOPE: seal(_statement(content, evidence, manifest), key)}


def _contents(content: Content, evidence: Evidence) -> Iterator[tuple[str, bytes]]:
    yield "index.html", page(content, evidence).encode()
    for chapter in content.chapters:
        for sheet in chapter.sheets:
            yield f"data/{sheet.name}.csv", _csv(sheet)
            yield f"data/{sheet.name}.json", as_json([dict(zip(sheet.head, row, strict=True)) for row in sheet.rows])
    for name, text in content.documents.items():
        yield name, text.encode()
    for name, messages in content.states.items():
        yield f"states/{name}.json", as_json([_plain(one) for one in messages])
    yield "facts.jsonl", "".join(fact_line(one.revision, one.payload) for one in content.entries).encode()
    for entry in content.entries:
        yield proof_file(entry.revision, "fact"), entry.payload
        yield proof_file(entry.revision, "tlog-proof"), evidence.proofs[entry.revision].encode()
    yield "checkpoint", evidence.checkpoint.note.encode()
    yield "policy.json", as_json({"origin": evidence.checkpoint.origin, "keys": list(evidence.keys)})


def proof_file(revision: int, kind: str) -> str:
    return f"proofs/{revision:012d}.{kind}"


def fact_line(revision: int, payload: bytes) -> str:
    """A fact as it is proved, with markers where the words of people lie beside the log; else its bytes."""
    try:
        told = cloud_event(Fact.FromString(payload), revision)
    except DecodeError:
        told = {"revision": str(revision), "unreadable": payload.hex()}
    return json.dumps(told, sort_keys=True, ensure_ascii=False) + "\n"


def _csv(sheet: Sheet) -> bytes:
    made = io.StringIO()
    lines = csv.writer(made, lineterminator="\r\n")
    lines.writerow(sheet.head)
    lines.writerows([[_cell(one) for one in row] for row in sheet.rows])
    return made.getvalue().encode()


def _cell(text: str) -> str:
    """With an apostrophe in front of what would be run; the JSON beside has the text itself."""
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain(message: Any) -> dict[str, Any]:
    told: dict[str, Any] = json_format.MessageToDict(message)
    return told


def _head(evidence: Evidence) -> dict[str, Any]:
    head = evidence.checkpoint.head
    return {"origin": evidence.checkpoint.origin, "size": head.size, "root": head.root_hash.hex()}


def _statement(content: Content, evidence: Evidence, manifest: bytes) -> bytes:
    """No time and no name: the same pack is signed with the same bytes, and the key says who signed."""
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": MANIFEST, "digest": {"sha256": hashlib.sha256(manifest).hexdigest()}}],
        "predicateType": PREDICATE,
        "predicate": {
            "format": FORMAT,
            "kind": content.kind,
            "about": content.subject,
            "revision": content.revision,
            "checkpoint": _head(evidence),
        },
    }
    return json.dumps(statement, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def as_json(value: Any) -> bytes:
    """JSON that is the same for the same value: keys in order, one newline at the end."""
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Whole or not at all; the folder is not there yet, or empty."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        for name, data in files.items():
            path = part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
