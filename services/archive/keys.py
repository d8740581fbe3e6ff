"""The log's key: made at the first start, readable by the notary's user only, never replaced in silence.

A new key is introduced by a note that the old and the new key sign together, over the size up to which the old one
holds. Whoever trusts either key can therefore follow the line to the other, in either direction:

    origin
    log-key-rotation/v1
    size
    base64(root)
    vkey of the old key
    vkey of the new key
"""

import base64
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from services.archive.checkpoint import BadNote, Head, NotSigned, Verifier, parse_vkey, sign_text, verifier_of
from services.archive.files import read_json, sync_folder, write_atomically, write_synced

KEY_FILE = "log.key"
KEYS_FILE = "keys.json"
NEXT_FILE = "log.key.next"
ASKED_FILE = "rotate.json"
ROTATION = "log-key-rotation/v1"


class KeyTrouble(RuntimeError):
    """The key cannot be used as it is; a person must look."""


def open_key(folder: Path, origin: str, secret: Path | None = None) -> Ed25519PrivateKey:
    """The key, made when there is none and nothing was signed yet. KeyTrouble otherwise.

    folder: of the public keys. secret: of the key itself, where that is another one.
    """
    hidden = secret or folder
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    hidden.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = hidden / KEY_FILE
    if not path.exists():
        if (folder / KEYS_FILE).exists():
            raise KeyTrouble(f"{path} is gone although checkpoints were signed with it: put it back from the backup")
        key = Ed25519PrivateKey.generate()
        write_synced(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o400)
        _publish(folder, verifier_of(origin, key))
        return key
    loaded = _load(path)
    if not (folder / KEYS_FILE).exists():  # A crash between the two files of the first start.
        _publish(folder, verifier_of(origin, loaded))
    if (hidden / NEXT_FILE).exists() and verifier_of(origin, _load(hidden / NEXT_FILE)) == verifiers(folder)[-1]:
        loaded = _take_over(hidden)  # A crash in the midst of a rotation, behind the moment that counts.
    if verifier_of(origin, loaded) != verifiers(folder)[-1]:
        raise KeyTrouble(
            f"the key in {path} is not the newest in {KEYS_FILE}: it was made for another log than {origin}"
            " (MODELOG_LOG_ORIGIN never changes), or it was replaced by a rotation"
        )
    return loaded


def rotate(folder: Path, head: Head, key: Ed25519PrivateKey, secret: Path | None = None) -> Ed25519PrivateKey:
    """The key that signs everything behind `head`, which has to be signed already; the old one is destroyed.

    Whatever is interrupted here is ended by the next `rotate` or `open_key`: the moment that counts is when keys.json
    names the new key.
    """
    hidden = secret or folder
    path = hidden / NEXT_FILE
    if not path.exists():
        made = Ed25519PrivateKey.generate()
        write_synced(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o400)
        sync_folder(hidden)
    following = _load(path)
    old, new = verifier_of(head.origin, key), verifier_of(head.origin, following)
    text = "\n".join(
        (head.origin, ROTATION, str(head.size), base64.b64encode(head.root).decode(), old.vkey, new.vkey, "")
    )
    # Two signatures under one text: the line of the second is put behind the note of the first.
    note = sign_text(text, head.origin, key) + sign_text(text, head.origin, following).rpartition("\n\n")[2]
    keys = published(folder)
    keys[-1]["to_size"] = head.size
    keys.append({"vkey": new.vkey, "from_size": head.size + 1, "to_size": 0, "rotation": note})
    write_atomically(folder / KEYS_FILE, (json.dumps(keys, indent=1) + "\n").encode())
    return _take_over(hidden)


def ask_for_rotation(folder: Path) -> None:
    """The notary does it after its next round: it alone holds the key."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / ASKED_FILE, b"{}\n")


def rotate_if_asked(
    folder: Path, head: Head, key: Ed25519PrivateKey, *, secret: Path | None = None, asks: Path | None = None
) -> Ed25519PrivateKey:
    """The key to go on with behind a head that is signed. asks: where it is asked for, if not in `folder`."""
    asked = (asks or folder) / ASKED_FILE
    if not asked.exists():
        return key
    if published(folder)[-1]["from_size"] <= head.size:  # Else a crash came behind the rotation that was asked for.
        key = rotate(folder, head, key, secret)
    asked.unlink()
    return key


def _take_over(folder: Path) -> Ed25519PrivateKey:
    (folder / NEXT_FILE).replace(folder / KEY_FILE)
    sync_folder(folder)
    return _load(folder / KEY_FILE)


def _load(path: Path) -> Ed25519PrivateKey:
    if path.stat().st_mode & 0o077:
        raise KeyTrouble(f"{path} can be read by others: chmod 0400, and think about who may have read it")
    loaded = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(loaded, Ed25519PrivateKey):
        raise KeyTrouble(f"{path} is not an Ed25519 key")
    return loaded


def open_signed(folder: Path, note: str) -> Head:
    """The head in a checkpoint that a key of the log signed while it was in use; BadNote otherwise."""
    for one in published(folder):
        try:
            head = parse_vkey(str(one["vkey"])).open(note)
        except NotSigned:
            continue
        if head.size < one["from_size"] or (one["to_size"] and head.size > one["to_size"]):
            raise BadNote(
                f"signed for size {head.size} by a key that was in use from {one['from_size']} to {one['to_size']}"
            )
        return head
    raise NotSigned("signed by no key of this log")


def published(folder: Path) -> list[dict[str, Any]]:
    """The public keys, oldest first: vkey, from_size, to_size (0: in use), rotation. Empty before the first start."""
    value = read_json(folder / KEYS_FILE)
    return value if isinstance(value, list) else []


def verifiers(folder: Path) -> list[Verifier]:
    return [parse_vkey(str(one["vkey"])) for one in published(folder)]


def _publish(folder: Path, verifier: Verifier) -> None:
    keys = [{"vkey": verifier.vkey, "from_size": 1, "to_size": 0}]
    write_atomically(folder / KEYS_FILE, (json.dumps(keys, indent=1) + "\n").encode())
