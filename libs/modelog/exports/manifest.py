"""What an export says of itself: its files, its range, and by which signed root of the log it can be held to it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from modelog.provenance.envelopes import BadEnvelope, opened, seal
from modelog.provenance.keys import Key
from modelog.provenance.statements import STATEMENT, read

VERSION = "modelog-export/1"
NAME = "manifest.json"
PREDICATE = "https://modelog.dev/export/v1"


@dataclass(frozen=True)
class File:
    """path: below the folder, with slashes. first_revision, last_revision: 0 for files that hold no facts."""

    path: str
    sha256: str
    size_bytes: int
    rows: int
    first_revision: int = 0
    last_revision: int = 0


@dataclass(frozen=True)
class Manifest:
    """content: `facts` or `views`. form: of the facts' files. selection: what was asked for; empty is everything.

    from_revision to to_revision: what was looked at; equal for views, which are as of one revision. checkpoint: the
    signed note (C2SP) whose tree covers it. keys: verifier keys of the log, oldest first; rotations: the notes by which
    one introduces the next. subtrees: roots of the perfect trees that all facts up to to_revision make, largest first,
    in hexadecimal digits; empty when not everything from revision 1 on is there. omitted: what could not be read.
    """

    content: str
    form: str
    made_by: str
    from_revision: int
    to_revision: int
    files: Sequence[File]
    origin: str = ""
    checkpoint: str = ""
    keys: Sequence[str] = ()
    rotations: Sequence[str] = ()
    subtrees: Sequence[str] = ()
    selection: Mapping[str, Sequence[str]] = field(default_factory=dict)
    omitted: Sequence[str] = ()

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.files)

    @property
    def is_whole(self) -> bool:
        """Whether every fact of the log up to its end is there."""
        return self.content == "facts" and self.from_revision == 1 and not self.selection

    def encoded(self) -> bytes:
        told = {"version": VERSION, **{name: value for name, value in asdict(self).items() if value}}
        return (json.dumps(told, ensure_ascii=False, indent=1) + "\n").encode()


def made_by() -> str:
    """The build that makes an export."""
    from importlib.metadata import version  # Slow to import.

    return f"modelog {version('modelog')}"


def decoded(content: bytes) -> Manifest:
    """ValueError for what is no manifest that this build understands."""
    try:
        told: Any = json.loads(content)
        if told.pop("version") != VERSION:
            raise ValueError(f"not a {VERSION} manifest; a later modelog may read it")
        files = tuple(File(**one) for one in told.pop("files", ()))
        made = Manifest(files=files, **told)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a manifest of an export: {error}") from error
    if any(".." in one.path.split("/") or one.path.startswith("/") for one in files):
        raise ValueError("the manifest names a file outside of its folder")
    return made


def signature_name(manifest: bytes) -> str:
    """Each manifest has a signature file of its own name, so that it is in place before the manifest is."""
    return f"manifest-{hashlib.sha256(manifest).hexdigest()[:16]}.dsse.json"


def sign_manifest(manifest: bytes, key: Any) -> bytes:
    """A DSSE envelope around an in-toto statement about the manifest's digest, by a private key."""
    digest = hashlib.sha256(manifest).hexdigest()
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": NAME, "digest": {"sha256": digest}}],
        "predicateType": PREDICATE,
        "predicate": {},
    }
    return seal(json.dumps(statement, separators=(",", ":")).encode(), key)


def signers(manifest: bytes, envelope: bytes, keys: Sequence[Key]) -> list[Key]:
    """Those of the keys that signed this very manifest; none for what is no such envelope."""
    try:
        found = opened(envelope)
        statement = read(found.payload)
    except BadEnvelope:
        return []
    if statement.predicate_type != PREDICATE or not statement.is_about(hashlib.sha256(manifest).hexdigest(), ()):
        return []
    return found.signed_by(keys)
