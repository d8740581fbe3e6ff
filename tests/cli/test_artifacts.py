"""Artifacts on the command line: scanned, stored, fetched, signed for, and where they come from."""

import json
import pickle
import subprocess
from pathlib import Path

import pytest

from modelog.cli.failures import CONFLICT, FAILED, UNVERIFIED, USAGE
from tests.cli.line import CommandLine
from tests.registry.signing import EDWARDS, NIST, OTHER_NIST, model_signature, pem_of, public

EVIL = b"cos\nsystem\n(S'touch PWNED'\ntR."


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.fixture
def version(line: CommandLine, project: str, tmp_path: Path) -> str:
    line("versions", "register", f"{project}/fraud", put(tmp_path / "m.onnx", b"weights"), "--param", "depth=3")
    return f"{project}/fraud/1"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "fit.py").write_text("print('fit')\n")
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.test"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], [*identity, "commit", "-qm", "Fit"]):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True)
    return folder


def test_a_file_is_scanned_before_anybody_loads_it(line: CommandLine, tmp_path: Path) -> None:
    evil = line("artifacts", "scan", put(tmp_path / "a.pkl", EVIL), expect=UNVERIFIED)
    assert "os.system" in evil.out
    assert "dangerous" in evil.out
    told = line.json("artifacts", "scan", put(tmp_path / "b.pkl", pickle.dumps([1])))
    assert (told["format"], told["scan"]["verdict"]) == ("pickle", "SCAN_VERDICT_CLEAN")
    assert "no pickles" in line("artifacts", "scan", put(tmp_path / "c.json", b"{}")).out


def test_a_pickle_is_registered_where_the_policy_says_so(line: CommandLine, project: str, tmp_path: Path) -> None:
    good, evil = put(tmp_path / "good.pkl", pickle.dumps([1])), put(tmp_path / "evil.pkl", EVIL)
    store = tmp_path / "store"
    register = ("versions", "register", f"{project}/fraud", "--store", store)
    assert "PICKLE_NEEDS_POLICY" in line(*register, good, expect=CONFLICT).err
    line("projects", "set-policy", project, json.dumps({"allowedFormats": ["pickle"]}))
    assert "PICKLE_NOT_SAFE" in line(*register, evil, expect=CONFLICT).err
    assert not store.exists()
    line(*register, good)
    assert line.json("versions", "get", f"{project}/fraud/1")["artifact"]["scan"]["verdict"] == "SCAN_VERDICT_CLEAN"
    hidden = line(*register, good, "--format", "onnx", expect=FAILED).err
    assert "is pickle by its content" in hidden


def test_an_artifact_is_fetched_with_its_digest_checked(line: CommandLine, project: str, tmp_path: Path) -> None:
    store, out = tmp_path / "store", tmp_path / "out.bin"
    folder = tmp_path / "large"
    folder.mkdir()
    put(folder / "weights.safetensors", b"w" * 100)
    put(folder / "config.json", b"{}")
    line("versions", "register", f"{project}/fraud", folder, "--store", store)
    told = line.json("versions", "download", f"{project}/fraud/1", "--out", tmp_path / "again")
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == ["config.json", "weights.safetensors"]
    assert told["sizeBytes"] == "102"
    line("versions", "register", f"{project}/fraud", put(tmp_path / "m.onnx", b"weights"), "--store", store)
    (stored,) = [path for path in (store / "sha256").iterdir() if path.read_bytes() == b"weights"]
    stored.chmod(0o644)
    stored.write_bytes(b"Weights")
    assert "it was changed" in line("versions", "download", f"{project}/fraud/2", "--out", out, expect=FAILED).err
    assert not out.exists()
    stored.write_bytes(b"weights")
    assert "verified" in line("versions", "download", f"{project}/fraud/2", "--out", out).out
    assert "exists already" in line("versions", "download", f"{project}/fraud/2", "--out", out, expect=FAILED).err


def test_a_version_is_signed_for_and_verified_again(
    line: CommandLine, project: str, version: str, tmp_path: Path
) -> None:
    made = line.json("keys", "make", tmp_path / "ci")
    assert (tmp_path / "ci").stat().st_mode & 0o077 == 0
    line("versions", "attest", version, "--key", tmp_path / "ci", "--builder", "https://ci.example.test/7")
    assert "unknown-key" in line("versions", "provenance", version).out
    assert "NOT verified" in line("versions", "verify", version, expect=UNVERIFIED).out
    added = line.json("keys", "add", project, tmp_path / "ci.pub", "--description", "pipeline")
    assert added["keyId"] == made["keyId"]
    line("versions", "attest", version, "--key", tmp_path / "ci", "--builder", "https://ci.example.test/8")
    (first, second) = line.json("versions", "provenance", version)
    assert (second["provenance"]["outcome"], second["provenance"]["builder"]) == (
        "PROVENANCE_OUTCOME_VERIFIED",
        "https://ci.example.test/8",
    )
    verified = line.json("versions", "verify", version, "--file", tmp_path / "m.onnx")
    assert (verified["verified"], verified["fileIsTheArtifact"]) == (True, True)
    other = put(tmp_path / "other.onnx", b"other")
    assert "is not the artifact" in line("versions", "verify", version, "--file", other, expect=UNVERIFIED).err
    line("versions", "verify", version, "--key", tmp_path / "ci.pub")
    line("keys", "revoke", project, made["keyId"])
    assert "revoked" in line("keys", "list", project).out
    line("versions", "verify", version, expect=UNVERIFIED)
    both = line("versions", "attest", version, expect=USAGE).err
    assert "--key" in both
    assert first["provenance"]["number"] == 1


def test_a_model_signature_is_handed_in_as_it_is(line: CommandLine, project: str, version: str, tmp_path: Path) -> None:
    digest = line.json("versions", "get", version)["artifact"]["sha256"]
    key = put(tmp_path / "key.pub", public(NIST).pem.encode())
    line("keys", "add", project, key)
    bundle = put(tmp_path / "model.sig", model_signature({"m.onnx": digest}))
    done = line.json("versions", "attest", version, "--envelope", bundle)
    assert done["provenance"]["kind"] == "PROVENANCE_KIND_MODEL_SIGNATURE"
    line("versions", "verify", version)
    private = put(tmp_path / "private.pem", pem_of(EDWARDS))
    assert "keep it to yourself" in line("keys", "add", project, private, expect=USAGE).err


def test_a_model_signature_beside_the_files_is_recorded_with_them(
    line: CommandLine, project: str, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    put(folder / "config.json", b"{}")
    digest = line.json("artifacts", "scan", folder / "config.json")["sha256"]
    line("keys", "add", project, put(tmp_path / "key.pub", public(NIST).pem.encode()))
    register = ("versions", "register", f"{project}/fraud", folder, "--store", tmp_path / "store")
    put(folder / "model.sig", model_signature({"config.json": "ab" * 32}))
    assert "was not made for these files" in line(*register, expect=FAILED).err
    put(folder / "model.sig", model_signature({"config.json": digest}))
    assert "signed by a key that the project trusts" in line(*register).err
    line("versions", "verify", f"{project}/fraud/1", "--file", folder)
    put(folder / "weights.bin", b"unsigned")
    assert "was not made for these files" in line(*register, expect=FAILED).err
    (folder / "weights.bin").unlink()
    put(folder / "model.sig", model_signature({"config.json": digest}, OTHER_NIST))
    assert "signed by no key that the project trusts" in line(*register).err
    line("versions", "verify", f"{project}/fraud/2", expect=UNVERIFIED)


def test_the_code_of_a_version_is_recorded_by_itself_and_restored(
    line: CommandLine, project: str, code: Path, tmp_path: Path
) -> None:
    inside = CommandLine(code)
    suite = line.folder / ".modelog" / "suite.json"
    (code / ".modelog").mkdir()
    (code / ".modelog" / "suite.json").write_text(suite.read_text())
    (code / ".git" / "info" / "exclude").write_text(".modelog\n")
    model, store = put(tmp_path / "m.onnx", b"weights"), tmp_path / "store"
    register = ("versions", "register", f"{project}/fraud", model, "--store", store)
    assert "not committed" not in inside(*register).err
    source = inside.json("versions", "get", f"{project}/fraud/1")["source"]
    assert (len(source["commit"]), source["branch"], source["dirty"]) == (40, "main", False)
    (code / "fit.py").write_text("print('later')\n")
    assert "not committed" in inside(*register).err
    line("projects", "set-policy", project, json.dumps({"dirtyTree": "DIRTY_TREE_REFUSE"}))
    assert "commit them, train again" in inside(*register, expect=CONFLICT).err
    inside(*register, "--no-git")
    assert "commit" not in str(inside.json("versions", "get", f"{project}/fraud/3").get("source", {}).get("commit", ""))
    restored = line.json("versions", "checkout", f"{project}/fraud/1", "--into", tmp_path / "restored")
    assert restored["commit"] == source["commit"]
    assert (tmp_path / "restored" / "fit.py").read_text() == "print('fit')\n"
    again = line("versions", "checkout", f"{project}/fraud/1", "--into", tmp_path / "restored", expect=FAILED)
    assert "nothing is overwritten" in again.err
    assert (
        "no commit" in line("versions", "checkout", f"{project}/fraud/3", "--into", tmp_path / "x", expect=FAILED).err
    )


def test_lineage_is_shown_as_a_tree(line: CommandLine, project: str, version: str, tmp_path: Path) -> None:
    model = put(tmp_path / "m2.onnx", b"more weights")
    line("models", "create", project, "other")
    line("versions", "register", f"{project}/fraud", model, "--parent-version", version)
    copied = line.json("versions", "copy", f"{project}/fraud/2", f"{project}/other")
    line("versions", "register", f"{project}/fraud", model, "--parent-version", version)
    told = line("versions", "lineage", f"{project}/fraud/2").out.splitlines()
    assert told[0] == f"{project}/fraud/1"
    assert told[1] == f"├── {project}/fraud/2 (child) *"
    assert told[2] == f"│   └── {project}/other/1 (copy)"
    assert told[3] == f"└── {project}/fraud/3 (child)"
    tree = line.json("versions", "lineage", copied["name"])
    assert [one["name"].rpartition("models/")[2] for one in tree["derived"]] == ["fraud/versions/2", "fraud/versions/3"]
    assert [one["derivation"] for one in line.json("versions", "derived", f"{project}/fraud/2")] == ["DERIVATION_COPY"]
    assert line.json("versions", "get", copied["name"])["copiedFrom"]["version"].endswith("fraud/versions/2")
