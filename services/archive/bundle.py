"""Writes what `modelog audit verify` reads: a tar of facts, hashes, checkpoints and proofs, as a stream of bytes. Pure.

    log/entries-<first revision>.bin   payloads exactly as stored, each after its length (4 bytes, big-endian)
    log/leaves-<first revision>.bin    their leaf hashes, 32 bytes each
    log/edges.json                     hashes of what lies left and right of the range, so that its root can be made
    checkpoint, checkpoints/<size>     the signed root this bundle leads to, and earlier ones
    proofs/<revision>.tlog-proof       inclusion proofs (C2SP tlog-proof), one a file
    policy.json                        public keys of the log; take the key you trust from somewhere else
    manifest.json                      range, size and the SHA-256 of every other file; the last file

The same content always makes the same bytes: times and owners in the tar are zero.
"""

import base64
import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from services.archive.merkle import leaf_hash

FORMAT = "modelog-audit-bundle/1"
ENTRIES_PER_FILE = 4096
BYTES_PER_FILE = 4 << 20


class Tar:
    """Makes the bytes of a tar file by file, and remembers the digest of each."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, Any]] = {}

    def file(self, name: str, content: bytes) -> bytes:
        """Header, content and padding of one file."""
        self.files[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        header = tarfile.TarInfo(name)
        header.size, header.mode = len(content), 0o444
        padding = -len(content) % tarfile.BLOCKSIZE
        return header.tobuf(tarfile.USTAR_FORMAT) + content + bytes(padding)

    def end(self) -> bytes:
        return bytes(2 * tarfile.BLOCKSIZE)


class LogFiles:
    """Cuts a sequence of payloads into files of bounded size."""

    def __init__(self, tar: Tar, first: int) -> None:
        self._tar = tar
        self._first = first
        self._payloads: list[bytes] = []
        self._bytes = 0

    def add(self, payloads: Iterable[bytes]) -> Iterator[bytes]:
        """The files that became full."""
        for payload in payloads:
            self._payloads.append(payload)
            self._bytes += len(payload)
            if len(self._payloads) >= ENTRIES_PER_FILE or self._bytes >= BYTES_PER_FILE:
                yield self.flush()

    def flush(self) -> bytes:
        """The rest, if any."""
        if not self._payloads:
            return b""
        framed = b"".join(len(one).to_bytes(4) + one for one in self._payloads)
        leaves = b"".join(map(leaf_hash, self._payloads))
        name = f"{self._first:012d}.bin"
        self._first += len(self._payloads)
        self._payloads, self._bytes = [], 0
        return self._tar.file(f"log/entries-{name}", framed) + self._tar.file(f"log/leaves-{name}", leaves)


def edges_json(left: Sequence[bytes], right: Sequence[bytes]) -> bytes:
    return as_json({"left": [one.hex() for one in left], "right": [one.hex() for one in right]})


def policy_json(origin: str, keys: Sequence[Mapping[str, Any]], witness: str = "") -> bytes:
    """keys: vkey, from_size, to_size of each, and for each but the first the note that introduces it."""
    return as_json({"origin": origin, "keys": list(keys)} | ({"witness": witness} if witness else {}))


def manifest_json(origin: str, size: int, first: int, last: int, files: Mapping[str, Any]) -> bytes:
    return as_json(
        {"format": FORMAT, "origin": origin, "size": size, "from_revision": first, "to_revision": last, "files": files}
    )


def proof_text(index: int, hashes: Sequence[bytes], note: str) -> str:
    """One fact's proof as a C2SP tlog-proof; index = revision - 1."""
    lines = ["c2sp.org/tlog-proof@v1", f"index {index}", *(base64.b64encode(one).decode() for one in hashes)]
    return "\n".join(lines) + "\n\n" + note


def checkpoint_name(size: int) -> str:
    return f"checkpoints/{size:012d}"


def proof_name(revision: int) -> str:
    return f"proofs/{revision:012d}.tlog-proof"


def as_json(value: Any) -> bytes:
    """JSON that is the same for the same value: keys in order, one newline at the end."""
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()
