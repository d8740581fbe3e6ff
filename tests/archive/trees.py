"""Trees by their definition in RFC 6962, as slow as they are plain: what the real ones are compared with."""

import hashlib
from collections.abc import Iterable, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from modelog.log.v1.fact_pb2 import Fact
from services.archive import bundle, merkle, tiles
from services.archive.checkpoint import Head, sign, verifier_of

ORIGIN = "modelog.test/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VKEY = verifier_of(ORIGIN, KEY).vkey


def defined_root(payloads: Sequence[bytes]) -> bytes:
    """MTH(D[n]), RFC 6962 section 2.1."""
    if not payloads:
        return hashlib.sha256(b"").digest()
    if len(payloads) == 1:
        return hashlib.sha256(b"\x00" + payloads[0]).digest()
    k = split(len(payloads))
    return hashlib.sha256(b"\x01" + defined_root(payloads[:k]) + defined_root(payloads[k:])).digest()


def defined_path(m: int, payloads: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n]), RFC 6962 section 2.1.1."""
    if len(payloads) == 1:
        return []
    k = split(len(payloads))
    if m < k:
        return [*defined_path(m, payloads[:k]), defined_root(payloads[k:])]
    return [*defined_path(m - k, payloads[k:]), defined_root(payloads[:k])]


def defined_proof(m: int, payloads: Sequence[bytes], whole: bool = True) -> list[bytes]:
    """SUBPROOF(m, D[n], whole), RFC 6962 section 2.1.2."""
    if m == len(payloads):
        return [] if whole else [defined_root(payloads)]
    k = split(len(payloads))
    if m <= k:
        return [*defined_proof(m, payloads[:k], whole), defined_root(payloads[k:])]
    return [*defined_proof(m - k, payloads[k:], False), defined_root(payloads[:k])]


def split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


class Log:
    """A log in memory with its tiles, and the bundles an archive would export of it."""

    def __init__(self, payloads: Iterable[bytes] = ()) -> None:
        self.payloads: list[bytes] = []
        self.tiles: dict[tiles.TileId, bytes] = {}
        self.append(payloads)

    def append(self, payloads: Iterable[bytes]) -> None:
        more = list(payloads)
        begun = {one: self.tiles[one] for one in tiles.edge(len(self.payloads))}
        self.tiles |= tiles.extend(begun, len(self.payloads), map(merkle.leaf_hash, more))
        self.payloads += more

    def root(self, size: int) -> bytes:
        return merkle.span_hash((0, size), tiles.node_from(self.tiles)) if size else merkle.EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        node = tiles.node_from(self.tiles)
        return [merkle.span_hash(span, node) for span in merkle.inclusion_spans(index, size)]

    def consistency(self, old: int, new: int) -> list[bytes]:
        node = tiles.node_from(self.tiles)
        return [merkle.span_hash(span, node) for span in merkle.consistency_spans(old, new)]

    def note(self, size: int) -> str:
        return sign(Head(ORIGIN, size, self.root(size)), KEY)

    def files(
        self, first: int, last: int, size: int, earlier: Sequence[int] = (), proofs: Sequence[int] = ()
    ) -> dict[str, bytes]:
        """The files of a bundle, without its manifest."""
        node = tiles.node_from(self.tiles)
        left = [node(*one) for one in merkle.perfect((0, first - 1))]
        right = [node(*one) for one in merkle.aligned(last, size)]
        payloads = self.payloads[first - 1 : last]
        files = {
            "checkpoint": self.note(size).encode(),
            "log/edges.json": bundle.edges_json(left, right),
            "policy.json": bundle.policy_json(ORIGIN, [{"vkey": VKEY, "from_size": 1, "to_size": 0}]),
        }
        for at in range(0, len(payloads), 16):
            part = payloads[at : at + 16]
            name = f"{first + at:012d}.bin"
            files[f"log/entries-{name}"] = b"".join(len(one).to_bytes(4) + one for one in part)
            files[f"log/leaves-{name}"] = b"".join(map(merkle.leaf_hash, part))
        for old in earlier:
            files[bundle.checkpoint_name(old)] = self.note(old).encode()
        for revision in proofs:
            text = bundle.proof_text(revision - 1, self.inclusion(revision - 1, size), self.note(size))
            files[bundle.proof_name(revision)] = text.encode()
        return files


def packed(files: dict[str, bytes], first: int, last: int, size: int) -> bytes:
    """The tar with a manifest that fits."""
    tar = bundle.Tar()
    body = b"".join(tar.file(name, content) for name, content in files.items())
    manifest = bundle.manifest_json(ORIGIN, size, first, last, tar.files)
    return body + tar.file("manifest.json", manifest) + tar.end()


def facts(count: int, resources: int = 5) -> list[bytes]:
    """Payloads of facts that follow each other, a few resources in turn."""
    made = []
    for at in range(count):
        generation, resource = divmod(at, resources)
        fact = Fact(id=f"{at:032x}", resource=f"projects/p{resource}", generation=generation + 1, request_id=f"r{at}")
        fact.recorded_at.seconds = 1_700_000_000 + at
        made.append(fact.SerializeToString(deterministic=True))
    return made
