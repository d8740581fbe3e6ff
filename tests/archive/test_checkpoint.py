"""Checkpoints: a published note, what is refused, and openssl's opinion."""

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modelog import audit
from services.archive.checkpoint import BadNote, Head, parse_vkey, sign, sign_text, verifier_of
from tests.archive.trees import KEY, ORIGIN, VKEY

# The reference key and note of golang.org/x/mod/sumdb/note.
PUBLISHED_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PUBLISHED_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
PUBLISHED_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PUBLISHED_NOTE = (
    PUBLISHED_TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
HEAD = Head(ORIGIN, 42, bytes(range(32)))
NOTE = sign(HEAD, KEY)


def test_the_published_note_is_signed_and_verified_byte_for_byte() -> None:
    key = Ed25519PrivateKey.from_private_bytes(PUBLISHED_SEED)
    assert verifier_of("PeterNeumann", key).vkey == PUBLISHED_VKEY
    assert sign_text(PUBLISHED_TEXT, "PeterNeumann", key) == PUBLISHED_NOTE
    assert parse_vkey(PUBLISHED_VKEY).text(PUBLISHED_NOTE) == PUBLISHED_TEXT
    assert audit.Key(PUBLISHED_VKEY).text(PUBLISHED_NOTE) == PUBLISHED_TEXT


def test_a_checkpoint_says_what_was_signed() -> None:
    assert NOTE.startswith(f"{ORIGIN}\n42\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n— {ORIGIN} ")
    assert parse_vkey(VKEY).open(NOTE) == HEAD
    assert tuple(audit.open_checkpoint(NOTE, audit.Key(VKEY))) == (HEAD.origin, HEAD.size, HEAD.root)


def test_signatures_of_others_are_ignored() -> None:
    other = sign_text(HEAD.body(), "witness.example", Ed25519PrivateKey.generate()).rpartition("\n\n")[2]
    assert parse_vkey(VKEY).open(NOTE + other) == HEAD
    cosigned = NOTE.replace("\n\n", "\n\n" + other)
    assert audit.open_checkpoint(cosigned, audit.Key(VKEY)).size == 42


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "no note",
        NOTE.replace("\n42\n", "\n43\n"),
        NOTE.replace("\n42\n", "\n042\n"),
        NOTE.replace(f"— {ORIGIN}", "— somebody.else"),
        NOTE[:-20] + "\n",
        NOTE.replace("\n\n", "\n"),
        sign(HEAD, Ed25519PrivateKey.generate()),
        sign_text(f"{ORIGIN}\nmany\nAAAA\n", ORIGIN, KEY),
        sign_text(f"{ORIGIN}\n7\nAAAA\n", ORIGIN, KEY),
    ],
)
def test_damaged_notes_are_refused_by_both_readers(damaged: str) -> None:
    with pytest.raises(BadNote):
        parse_vkey(VKEY).open(damaged)
    with pytest.raises(audit.BadNote):
        audit.open_checkpoint(damaged, audit.Key(VKEY))


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "a+b",
        VKEY[:-4],
        VKEY.replace("+", "-"),
        "x" + VKEY,
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_damaged_keys_are_refused_by_both_readers(damaged: str) -> None:
    with pytest.raises(BadNote):
        parse_vkey(damaged)
    with pytest.raises(audit.BadNote):
        audit.Key(damaged)


def test_openssl_verifies_a_checkpoint(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed, so nobody but ourselves has verified a checkpoint here")
    body, _, tail = NOTE.rpartition("\n\n")
    (tmp_path / "body").write_text(body + "\n")
    (tmp_path / "signature").write_bytes(base64.b64decode(tail.split(" ")[2])[4:])
    pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(pem)
    arguments = ["-verify", "-rawin", "-pubin", "-inkey", "key.pem", "-in", "body", "-sigfile", "signature"]
    verified = subprocess.run(
        [openssl, "pkeyutl", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert verified.returncode == 0, verified.stderr
    (tmp_path / "body").write_text(body + " \n")
    refused = subprocess.run(
        [openssl, "pkeyutl", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert refused.returncode != 0
