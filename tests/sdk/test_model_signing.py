"""OpenSSF model signatures as the reference implementation writes them, read by ours. `make test-model-signing`."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelog.provenance.envelopes import opened
from modelog.provenance.statements import read
from modelog.sdk import describe_artifact
from tests.house.tree import ROOT
from tests.registry.signing import model_signature, pem_of, public

REFERENCE = ROOT / ".venv-model-signing" / "bin" / "model_signing"
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not REFERENCE.exists(), reason="make test-model-signing installs the reference"),
]
CURVES = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}


def reference(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [str(REFERENCE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "parts").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "parts" / "1.bin").write_bytes(b"x" * 5000)
    return folder


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_the_reference_signs_is_verified_here(curve: str, kind: str, model: Path, tmp_path: Path) -> None:
    key = ec.generate_private_key(CURVES[curve])
    (tmp_path / "key.pem").write_bytes(pem_of(key))
    target = model if kind == "folder" else model / "parts" / "1.bin"
    bundle = tmp_path / "model.sig"
    done = reference("sign", "key", target, "--private_key", tmp_path / "key.pem", "--signature", bundle)
    assert done.returncode == 0, done.stderr
    envelope = opened(bundle.read_bytes())
    assert envelope.signed_by([public(key)]) == [public(key)]
    assert envelope.names(public(key))
    artifact = describe_artifact(target, "u")
    statement = read(envelope.payload)
    assert statement.is_about(artifact.sha256, artifact.files)
    if kind == "folder":  # Where the signature usually lies; it says itself that it is left out.
        inside = target / "model.sig"
        done = reference("sign", "key", target, "--private_key", tmp_path / "key.pem", "--signature", inside)
        assert done.returncode == 0, done.stderr
        whole = describe_artifact(target, "u")
        assert "model.sig" in {one.path for one in whole.files}
        assert read(opened(inside.read_bytes()).payload).is_about(whole.sha256, whole.files)
    changed = describe_artifact(target, "u")
    changed.sha256 = "ab" * 32
    for one in changed.files:
        one.sha256 = "ab" * 32
    assert not statement.is_about(changed.sha256, changed.files)


def test_what_our_tests_sign_the_reference_verifies(model: Path, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    files = {one.path: one.sha256 for one in describe_artifact(model, "u").files}
    (tmp_path / "model.sig").write_bytes(model_signature(files, key))
    (tmp_path / "key.pub").write_text(public(key).pem)
    done = reference(
        "verify", "key", model, "--signature", tmp_path / "model.sig", "--public_key", tmp_path / "key.pub"
    )
    assert done.returncode == 0, done.stdout + done.stderr
