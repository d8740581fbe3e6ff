"""Checkpoints, cosignatures and keys: each line by itself, each against the other file, and all against the facts."""

import hashlib
import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from services.archive.checkpoint import BadNote, Head, parse_vkey
from services.archive.files import read_json
from services.archive.keys import ROTATION, open_signed, published
from services.archive.scrub.findings import Report, Store
from services.archive.witness.cosignature import cosigner_in
from services.archive.witness.statements import Statements, sealed_by

Heads = dict[int, Head]
Meant = Mapping[Store, int]
_TAIL_BYTES = 4096


class SignedFiles:
    """What stands in both folders, read once; `judge` compares it with the roots that the facts lead to."""

    def __init__(self, folder: Path, statements: Statements, report: Report, meant: Meant) -> None:
        """meant: sizes that were about to be signed, and have to be among what is signed."""
        self._folder = folder
        self._statements = statements
        self._report = report
        self._witnessed: dict[int, dict[str, Any]] = {}
        self._bad_lines: dict[Store, list[int]] = {Store.CHECKPOINTS: [], Store.WITNESS: []}
        self.heads: Heads = {}
        self._digests: dict[int, str] = {}
        _check_keys(folder, statements.public().get("log_vkey", ""), report)
        self._meant = meant
        self._read_witness()
        self._read_checkpoints()
        report.checkpoints = len(self.heads)

    def _read_witness(self) -> None:
        public = self._statements.public()
        before = 0
        for number, raw in enumerate(_lines(self._statements.path), 1):
            try:
                line = json.loads(raw)
                cosigner = cosigner_in(public["vkey"])
                head = Head(self._statements.origin, line["size"], bytes.fromhex(line["root"]))
                sealed_by(cosigner, line)
                if cosigner.time(line["cosignature"], head.body()) != line["time"]:
                    raise BadNote("another time is signed than is written beside it")
            except (ValueError, KeyError, TypeError):
                self._bad_lines[Store.WITNESS].append(number)
                continue
            size = line["size"]
            if size in self._witnessed:
                self._report.found(Store.WITNESS, "INSERTED", "the same cosignature stands there twice", size)
            elif size < before:
                self._report.found(Store.WITNESS, "MOVED", f"this cosignature stands behind {before}", size)
            self._witnessed.setdefault(size, line)
            before = max(before, size)

    def _read_checkpoints(self) -> None:
        before = 0
        for number, raw in enumerate(_lines(self._folder / "checkpoints.jsonl"), 1):
            try:
                line = json.loads(raw)
                size = line["size"]
                head = open_signed(self._folder, line["note"])
            except BadNote as bad:
                self._changed(size, number, str(bad))
                continue
            except (ValueError, KeyError, TypeError):
                self._bad_lines[Store.CHECKPOINTS].append(number)
                continue
            if (head.size, head.root.hex()) != (size, line.get("root")):
                self._report.found(Store.CHECKPOINTS, "CHANGED", "another head is signed than is written", head.size)
            if head.size in self.heads:
                self._report.found(Store.CHECKPOINTS, "INSERTED", "the same checkpoint stands there twice", head.size)
            elif head.size < before:
                self._report.found(Store.CHECKPOINTS, "MOVED", f"this checkpoint stands behind {before}", head.size)
            before = max(before, head.size)
            self.heads.setdefault(head.size, head)
            self._digests.setdefault(head.size, hashlib.sha256(raw).hexdigest())

    def _changed(self, size: Any, number: int, why: str) -> None:
        """A line whose signature does not hold: what it says of itself may be wrong too."""
        if not isinstance(size, int):
            self._bad_lines[Store.CHECKPOINTS].append(number)
        elif size in self._witnessed:
            self._report.found(Store.CHECKPOINTS, "CHANGED", why, size)
            self._digests[size] = ""
        elif self._witnessed and size < max(self._witnessed):
            self._bad_lines[Store.CHECKPOINTS].append(number)  # Put in, or the size itself was changed.
        else:
            self._report.found(Store.CHECKPOINTS, "CHANGED", f"line {number}: {why}", size)

    def judge(self, roots: Mapping[int, bytes], upto: int) -> None:
        """roots: what the facts lead to, at each size of `heads`."""
        for size, head in self.heads.items():
            if size <= upto and roots.get(size) != head.root:
                text = "the facts lead to another root than was signed for this size"
                self._report.found(Store.CHECKPOINTS, "CONTRADICTION", text, size)
        self._across()
        self._ends()

    def _across(self) -> None:
        bad = self._bad_lines[Store.CHECKPOINTS]
        last = max(self._digests, default=0)
        before = 0
        for size, line in sorted(self._witnessed.items()):
            digest = self._digests.get(size)
            if digest is None:
                code = "CHANGED" if bad else "CUT" if size > last else "MISSING"
                text = f"line {bad.pop(0)} is no checkpoint any more" if bad else "the witness saw a checkpoint here"
                self._report.found(Store.CHECKPOINTS, code, text, size)
            elif digest and digest != line["checkpoint_sha256"]:
                self._report.found(Store.CHECKPOINTS, "CHANGED", "not the line that the witness saw", size)
            if size in self.heads and self.heads[size].root.hex() != line["root"]:
                self._report.found(Store.WITNESS, "CONTRADICTION", "another root was vouched for", size)
            if line["before"] != before:
                self._lost_witness(line["before"])
            before = size
        for number in bad:
            self._report.found(Store.CHECKPOINTS, "CHANGED", f"line {number} is no checkpoint any more")

    def _lost_witness(self, size: int) -> None:
        """The line before some cosignature is gone or unreadable."""
        bad = self._bad_lines[Store.WITNESS]
        if size in self._witnessed:
            return  # It was moved, and that was said.
        code = "CHANGED" if bad else "MISSING"
        text = f"line {bad.pop(0)} is no cosignature any more" if bad else "the cosignature of this size is gone"
        self._report.found(Store.WITNESS, code, text, size)

    def _ends(self) -> None:
        """What was meant to be written last is there, by now."""
        bad = self._bad_lines[Store.WITNESS]
        meant = self._meant[Store.WITNESS]
        if meant > max(self._witnessed, default=0):
            code = "CHANGED" if bad else "CUT"
            text = f"line {bad.pop(0)} is no cosignature any more" if bad else "the last cosignatures are gone"
            self._report.found(Store.WITNESS, code, text, meant)
        for number in bad:
            self._report.found(Store.WITNESS, "CHANGED", f"line {number} is no cosignature any more")
        meant = self._meant[Store.CHECKPOINTS]
        if meant > max([*self.heads, *self._witnessed, *self._digests], default=0):
            self._report.found(Store.CHECKPOINTS, "CUT", "the last checkpoints are gone", meant)


def _check_keys(folder: Path, first_vkey: str, report: Report) -> None:
    try:
        keys = published(folder)
        if first_vkey and keys[0]["vkey"] != first_vkey:
            raise BadNote("the first key is not the one that the witness began with")
        for old, new in pairwise(keys):
            text = parse_vkey(old["vkey"]).text(new["rotation"])
            lines = text.split("\n")
            said = [lines[1], int(lines[2]), lines[4], lines[5]]
            if parse_vkey(new["vkey"]).text(new["rotation"]) != text or said != [
                ROTATION,
                old["to_size"],
                old["vkey"],
                new["vkey"],
            ]:
                raise BadNote("a key does not follow from the one before it")
            if new["from_size"] != old["to_size"] + 1:
                raise BadNote("between two keys there is a gap, or both were in use")
    except (ValueError, KeyError, TypeError, IndexError) as error:
        report.found(Store.KEYS, "CHANGED", f"keys.json is not what the keys signed: {error}")


def meant_in(folder: Path) -> int:
    """The size that was about to be signed last; 0 where nothing says so."""
    try:
        value = read_json(folder / "head.json")
        return int(value["size"]) if value else 0
    except (ValueError, KeyError, TypeError):
        return 0


def _lines(path: Path) -> list[bytes]:
    return [line for line in path.read_bytes().split(b"\n") if line] if path.exists() else []


def last_size(path: Path) -> int:
    """The size in the last whole line of a file of checkpoints or cosignatures; 0 where it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
            return int(json.loads(file.read().rpartition(b"\n")[0].rpartition(b"\n")[2])["size"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
