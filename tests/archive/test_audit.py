"""The offline verifier: clean bundles pass, and what was done to a bundle is found and named."""

import ast
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from modelog import audit
from services.archive import bundle
from services.archive.checkpoint import Head, sign
from services.archive.merkle import leaf_hash
from tests.archive.trees import KEY, ORIGIN, VKEY, Log, facts, packed

Files = dict[str, bytes]
Tamper = Callable[[random.Random, Files], tuple[set[str], int]]

COUNT = 100
LOG = Log(facts(COUNT))
AUDIT = Path(audit.__file__).parent


def verified(tmp_path: Path, tar: bytes, seen: tuple[str, ...] = ()) -> audit.Report:
    path = tmp_path / "bundle.tar"
    path.write_bytes(tar)
    return audit.verify(path, VKEY, seen)


def whole(earlier: tuple[int, ...] = (16, 50, 64), proofs: tuple[int, ...] = (1, 37, 100)) -> Files:
    return LOG.files(1, COUNT, COUNT, earlier, proofs)


# Of a file of entries: its payloads, and the other way round.
def frames(data: bytes) -> list[bytes]:
    parts, at = [], 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4])
        parts.append(data[at + 4 : end])
        at = end
    return parts


def framed(parts: list[bytes]) -> bytes:
    return b"".join(len(one).to_bytes(4) + one for one in parts)


def entry_files(files: Files) -> list[str]:
    return sorted(name for name in files if name.startswith("log/entries-"))


def some_entry(seed: random.Random, files: Files, *, spare: int = 0) -> tuple[str, list[bytes], int, int]:
    """A file of entries, its payloads, a place among them that has `spare` more behind it, and its revision."""
    name = seed.choice([one for one in entry_files(files) if len(frames(files[one])) > spare + 1])
    parts = frames(files[name])
    at = seed.randrange(len(parts) - spare - 1)
    return name, parts, at, int(name[-16:-4]) + at


def flip(seed: random.Random, files: Files) -> tuple[set[str], int]:
    name, parts, at, revision = some_entry(seed, files)
    damaged = bytearray(parts[at])
    damaged[seed.randrange(len(damaged))] ^= 1 << seed.randrange(8)
    parts[at] = bytes(damaged)
    files[name] = framed(parts)
    return {"ENTRY_CHANGED"}, revision


def flip_a_length(seed: random.Random, files: Files) -> tuple[set[str], int]:
    name, parts, at, revision = some_entry(seed, files)
    offset = len(framed(parts[:at]))
    damaged = bytearray(files[name])
    damaged[offset + seed.randrange(4)] ^= 1 << seed.randrange(8)
    files[name] = bytes(damaged)
    return {"ENTRY_CHANGED"}, revision


def edit(seed: random.Random, files: Files) -> tuple[set[str], int]:
    name, parts, at, revision = some_entry(seed, files)
    parts[at] = facts(COUNT + 7)[-1]
    files[name] = framed(parts)
    return {"ENTRY_CHANGED"}, revision


def drop(seed: random.Random, files: Files) -> tuple[set[str], int]:
    name, parts, at, revision = some_entry(seed, files)
    del parts[at]
    files[name] = framed(parts)
    return {"ENTRY_MISSING"}, revision


def insert(seed: random.Random, files: Files) -> tuple[set[str], int]:
    name, parts, at, revision = some_entry(seed, files)
    parts.insert(at, b"forged" + seed.randbytes(20))
    files[name] = framed(parts)
    return {"ENTRY_INSERTED"}, revision


def reorder(seed: random.Random, files: Files) -> tuple[set[str], int]:
    name, parts, at, revision = some_entry(seed, files, spare=2)
    parts.insert(at + 2, parts.pop(at))
    files[name] = framed(parts)
    return {"ENTRY_MOVED"}, revision


def cut_the_tail(seed: random.Random, files: Files) -> tuple[set[str], int]:
    name = entry_files(files)[-1]
    parts = frames(files[name])
    keep = seed.randrange(len(parts))
    files[name] = framed(parts[:keep])
    return {"LOG_CUT"}, int(name[-16:-4]) + keep


def cut_inside_an_entry(seed: random.Random, files: Files) -> tuple[set[str], int]:
    name = entry_files(files)[-1]
    revision = int(name[-16:-4]) + len(frames(files[name])) - 1
    files[name] = files[name][: -seed.randrange(1, 20)]
    return {"ENTRY_CHANGED"}, revision


def lose_a_file(seed: random.Random, files: Files) -> tuple[set[str], int]:
    name = seed.choice(entry_files(files)[:-1])
    del files[name]
    return {"ENTRY_MISSING"}, int(name[-16:-4])


def forge_consistently(seed: random.Random, files: Files) -> tuple[set[str], int]:
    """Fact and list of hashes are both rewritten: only the signed roots know."""
    name, parts, at, revision = some_entry(seed, files)
    parts[at] += b"!"
    files[name] = framed(parts)
    files[name.replace("entries", "leaves")] = b"".join(map(leaf_hash, parts))
    agreed = max((size for size in (16, 50, 64) if size < revision), default=0)
    return {"WRONG_ROOT"}, agreed + 1 if agreed else 0


def change_the_hashes(seed: random.Random, files: Files) -> tuple[set[str], int]:
    name = seed.choice(entry_files(files)).replace("entries", "leaves")
    damaged = bytearray(files[name])
    damaged[seed.randrange(len(damaged))] ^= 1 << seed.randrange(8)
    files[name] = bytes(damaged)
    return {"LEAVES_CHANGED"}, 0


def swap_the_checkpoint(seed: random.Random, files: Files) -> tuple[set[str], int]:
    files["checkpoint"] = LOG.note(seed.choice([1, 16, 50, 99])).encode()
    return {"WRONG_CHECKPOINT"}, 0


def sign_by_somebody_else(seed: random.Random, files: Files) -> tuple[set[str], int]:
    key = Ed25519PrivateKey.from_private_bytes(seed.randbytes(32))
    files["checkpoint"] = sign(Head(ORIGIN, COUNT, LOG.root(COUNT)), key).encode()
    return {"BAD_SIGNATURE"}, 0


def sign_another_root(seed: random.Random, files: Files) -> tuple[set[str], int]:
    files["checkpoint"] = sign(Head(ORIGIN, COUNT, seed.randbytes(32)), KEY).encode()
    return {"WRONG_ROOT"}, 65


def contradict_an_earlier_checkpoint(seed: random.Random, files: Files) -> tuple[set[str], int]:
    files[bundle.checkpoint_name(50)] = sign(Head(ORIGIN, 50, seed.randbytes(32)), KEY).encode()
    return {"WRONG_ROOT"}, 17


def swap_proofs(seed: random.Random, files: Files) -> tuple[set[str], int]:
    one, other = seed.sample([1, 37, 100], 2)
    files[bundle.proof_name(one)] = files[bundle.proof_name(other)]
    return {"BAD_PROOF"}, one


def damage_a_proof(seed: random.Random, files: Files) -> tuple[set[str], int]:
    revision = seed.choice([1, 37, 100])
    lines = files[bundle.proof_name(revision)].decode().split("\n")
    lines[2] = lines[3]
    files[bundle.proof_name(revision)] = "\n".join(lines).encode()
    return {"BAD_PROOF"}, revision


TAMPERS: list[Tamper] = [
    flip,
    flip_a_length,
    edit,
    drop,
    insert,
    reorder,
    cut_the_tail,
    cut_inside_an_entry,
    lose_a_file,
    forge_consistently,
    change_the_hashes,
    swap_the_checkpoint,
    sign_by_somebody_else,
    sign_another_root,
    contradict_an_earlier_checkpoint,
    swap_proofs,
    damage_a_proof,
]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tamper", TAMPERS, ids=lambda tamper: tamper.__name__)
def test_tampering_is_found_and_named(tamper: Tamper, seed: int, tmp_path: Path) -> None:
    files = whole()
    codes, revision = tamper(random.Random(f"{tamper.__name__} {seed}"), files)
    report = verified(tmp_path, packed(files, 1, COUNT, COUNT))  # The manifest was made to fit.
    assert not report.ok
    named = {(finding.code, finding.revision) for finding in report.findings}
    assert any((code, revision) in named for code in codes), report.findings


@pytest.mark.parametrize("seed", range(10))
def test_any_flipped_bit_of_the_tar_is_found(seed: int, tmp_path: Path) -> None:
    content = packed(whole(), 1, COUNT, COUNT)
    random_ = random.Random(seed)
    damaged = bytearray(content)
    # Inside files only: what a tar pads its blocks with carries nothing.
    position = content.index(random_.choice(facts(COUNT))) + random_.randrange(30)
    damaged[position] ^= 1 << random_.randrange(8)
    assert not verified(tmp_path, bytes(damaged)).ok


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 64, 99, 100])
def test_clean_logs_pass(count: int, tmp_path: Path) -> None:
    earlier = tuple(size for size in (1, 16, 50, 64) if size < count)
    files = LOG.files(1, count, count, earlier, (1, count))
    seen = tuple(LOG.note(size) for size in (1, count))
    report = verified(tmp_path, packed(files, 1, count, count), seen)
    assert (report.findings, report.notes) == ([], [])
    assert (report.origin, report.size, report.root) == (ORIGIN, count, LOG.root(count).hex())
    assert (report.entries, report.unreadable, report.proofs) == (count, 0, len({1, count}))
    assert report.checkpoints == 1 + len(earlier) + 2


@pytest.mark.parametrize("seed", range(20))
def test_clean_ranges_pass_and_damaged_ones_do_not(seed: int, tmp_path: Path) -> None:
    random_ = random.Random(seed)
    first = random_.randrange(1, COUNT)
    last = random_.randrange(first, COUNT + 1)
    size = random_.randrange(last, COUNT + 1)
    files = LOG.files(first, last, size, (), (first, last))
    report = verified(tmp_path, packed(files, first, last, size))
    assert report.findings == []
    assert (report.from_revision, report.to_revision, report.entries) == (first, last, last - first + 1)
    name = random_.choice(entry_files(files))
    files[name] = framed([*frames(files[name])[:-1], b"changed"])
    assert not verified(tmp_path, packed(files, first, last, size)).ok


def test_a_tail_cut_from_everything_that_is_not_signed_is_found(tmp_path: Path) -> None:
    files = LOG.files(1, 90, 90)
    files["checkpoint"] = LOG.note(COUNT).encode()
    report = verified(tmp_path, packed(files, 1, 90, COUNT))
    assert ("LOG_CUT", 91) in {(finding.code, finding.revision) for finding in report.findings}


def test_an_older_log_does_not_pass_for_one_that_was_seen(tmp_path: Path) -> None:
    older = packed(LOG.files(1, 90, 90), 1, 90, 90)
    assert verified(tmp_path, older).ok
    report = verified(tmp_path, older, (LOG.note(COUNT),))
    assert [(finding.code, finding.revision) for finding in report.findings] == [("LOG_CUT", 91)]


def test_a_rewritten_log_signed_again_does_not_pass_for_one_that_was_seen(tmp_path: Path) -> None:
    rewritten = Log([*facts(40), b"rewritten", *facts(COUNT)[41:]])
    tar = packed(rewritten.files(1, COUNT, COUNT), 1, COUNT, COUNT)
    assert [finding.code for finding in verified(tmp_path, tar).findings] == ["BROKEN_GENERATIONS"]
    report = verified(tmp_path, tar, (LOG.note(30), LOG.note(60)))
    assert ("WRONG_ROOT", 31) in {(finding.code, finding.revision) for finding in report.findings}


def test_generations_that_do_not_follow_each_other_are_found(tmp_path: Path) -> None:
    payloads = facts(20)
    broken = Log([*payloads[:7], payloads[12], *payloads[7:12]])
    tar = packed(broken.files(1, 13, 13), 1, 13, 13)
    findings = verified(tmp_path, tar).findings
    assert {finding.code for finding in findings} == {"BROKEN_GENERATIONS"}
    assert findings[0].revision == 8
    assert "projects/p2" in findings[0].message


def test_what_is_unreadable_but_signed_is_counted_and_not_blamed(tmp_path: Path) -> None:
    strange = Log([*facts(10), b"\xff\xfe random bytes", b"", *facts(15)[10:]])
    report = verified(tmp_path, packed(strange.files(1, 17, 17), 1, 17, 17))
    assert report.ok, report.findings
    assert report.unreadable == 2


def test_files_beside_the_manifest_and_missing_ones_are_found(tmp_path: Path) -> None:
    files = whole()
    good = packed(files, 1, COUNT, COUNT)
    tar = bundle.Tar()
    report = verified(tmp_path, tar.file("extra", b"x") + good)
    assert [(finding.code, finding.file) for finding in report.findings] == [("FILE_UNEXPECTED", "extra")]
    report = verified(tmp_path, good[: len(good) // 2])
    assert {"FILE_UNREADABLE", "FILE_MISSING"} & {finding.code for finding in report.findings}
    assert not verified(tmp_path, b"").ok
    assert not verified(tmp_path, b"nothing like a tar").ok
    assert [one.code for one in audit.verify(tmp_path / "absent", VKEY).findings] == ["FILE_UNREADABLE"]
    assert [one.code for one in audit.verify(tmp_path / "bundle.tar", "no key").findings] == ["BAD_SIGNATURE"]


def test_one_fact_is_verified_by_itself() -> None:
    text = bundle.proof_text(36, LOG.inclusion(36, COUNT), LOG.note(COUNT))
    report = audit.verify_fact(LOG.payloads[36], text, VKEY)
    assert report.ok
    assert (report.origin, report.size, report.to_revision) == (ORIGIN, COUNT, 37)
    assert [one.code for one in audit.verify_fact(LOG.payloads[35], text, VKEY).findings] == ["BAD_PROOF"]
    assert [one.code for one in audit.verify_fact(LOG.payloads[36], "nothing", VKEY).findings] == ["BAD_PROOF"]
    forged = text.replace("index 36", "index 35")
    assert not audit.verify_fact(LOG.payloads[36], forged, VKEY).ok


def test_a_published_proof_form_is_read(tmp_path: Path) -> None:
    text = bundle.proof_text(36, LOG.inclusion(36, COUNT), LOG.note(COUNT))
    with_extra = text.replace("\nindex", "\nextra YWJj\nindex", 1)
    assert audit.verify_fact(LOG.payloads[36], with_extra, VKEY).ok


def test_the_verifier_leans_on_nothing_of_ours() -> None:
    for path in AUDIT.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            for name in names:
                root = name.split(".")[0]
                known = root in sys.stdlib_module_names or root == "cryptography" or name.startswith("modelog.audit")
                assert known, f"{path.name} imports {name}"


def test_what_decides_is_short_enough_to_be_read_by_an_auditor() -> None:
    """What says whether evidence holds; reading the tar and naming what was done to it comes on top."""
    code = 0
    for name in ("note", "tree", "proof", "verify"):
        text = (AUDIT / f"{name}.py").read_text()
        nodes = [one for one in ast.walk(ast.parse(text)) if isinstance(one, ast.Expr | ast.Import | ast.ImportFrom)]
        other = {
            line
            for node in nodes
            if not isinstance(node, ast.Expr) or isinstance(node.value, ast.Constant)
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        }
        code += sum(1 for number, line in enumerate(text.splitlines(), 1) if line.strip() and number not in other)
    assert code < 300
