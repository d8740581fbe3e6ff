"""Verifies evidence in a process that uses no network: `python -m suite.demo.offline WHAT BUNDLE VKEY FILE [REVISION]`.

    verify   the bundle, against a checkpoint in FILE that was seen before
    fact     the payload in FILE against its proof inside the bundle
    forged   a copy of the bundle in which one byte of the payload in FILE was changed

Prints the outcome as JSON. Not a test double: any use of a socket ends it, by an audit hook that cannot be removed.
"""

import json
import sys
import tarfile
import tempfile
from dataclasses import asdict
from pathlib import Path


class NetworkUsed(BaseException):
    """Nothing here may reach anything."""


def _refuse(event: str, _arguments: object) -> None:
    if event.startswith("socket."):
        raise NetworkUsed(event)


def main(what: str, bundle: Path, vkey: str, file: Path, revision: str = "") -> int:
    from modelog.audit import verify, verify_fact

    match what:
        case "verify":
            report = verify(bundle, vkey, [file.read_text(encoding="utf-8")])
        case "fact":
            report = verify_fact(file.read_bytes(), _proof(bundle, int(revision)), vkey)
        case "forged":
            with tempfile.TemporaryDirectory() as folder:
                report = verify(_forged(bundle, file.read_bytes(), Path(folder)), vkey)
        case _:
            return 2
    sys.stdout.write(json.dumps(asdict(report)) + "\n")
    return 0


def _proof(bundle: Path, revision: int) -> str:
    with tarfile.open(bundle) as tar:
        member = tar.extractfile(f"proofs/{revision:012d}.tlog-proof")
        return member.read().decode() if member else ""


def _forged(bundle: Path, payload: bytes, folder: Path) -> Path:
    """The tar with the last byte of this payload changed; lengths stay, so only the hashes can tell."""
    content = bundle.read_bytes()
    place = content.index(payload) + len(payload) - 1
    copy = folder / "forged.tar"
    copy.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    return copy


if __name__ == "__main__":
    sys.addaudithook(_refuse)
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), *sys.argv[5:]))
