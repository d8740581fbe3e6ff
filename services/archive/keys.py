"""The log's key: made at the first start, readable by the notary's user only, never replaced in silence."""

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

from services.archive.checkpoint import Verifier, parse_vkey, verifier_of
from services.archive.files import read_json, write_atomically, write_synced

KEY_FILE = "log.key"
KEYS_FILE = "keys.json"


class KeyTrouble(RuntimeError):
    """The key cannot be used as it is; a person must look."""


def open_key(folder: Path, origin: str) -> Ed25519PrivateKey:
    """The key in `folder`, made when there is none and nothing was signed yet. KeyTrouble otherwise."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / KEY_FILE
    if not path.exists():
        if (folder / KEYS_FILE).exists():
            raise KeyTrouble(f"{path} is gone although checkpoints were signed with it: put it back from the backup")
        key = Ed25519PrivateKey.generate()
        write_synced(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o400)
        _publish(folder, verifier_of(origin, key))
        return key
    if path.stat().st_mode & 0o077:
        raise KeyTrouble(f"{path} can be read by others: chmod 0400, and think about who may have read it")
    loaded = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(loaded, Ed25519PrivateKey):
        raise KeyTrouble(f"{path} is not an Ed25519 key")
    if not (folder / KEYS_FILE).exists():  # A crash between the two files of the first start.
        _publish(folder, verifier_of(origin, loaded))
    if verifier_of(origin, loaded) not in verifiers(folder):
        raise KeyTrouble(f"the key in {path} was made for another log than {origin}: MODELOG_LOG_ORIGIN never changes")
    return loaded


def published(folder: Path) -> list[dict[str, Any]]:
    """The public keys, oldest first: vkey, from_size, to_size (0: in use). Empty before the notary's first start."""
    value = read_json(folder / KEYS_FILE)
    return value if isinstance(value, list) else []


def verifiers(folder: Path) -> list[Verifier]:
    return [parse_vkey(str(one["vkey"])) for one in published(folder)]


def _publish(folder: Path, verifier: Verifier) -> None:
    keys = [{"vkey": verifier.vkey, "from_size": 1, "to_size": 0}]
    write_atomically(folder / KEYS_FILE, (json.dumps(keys, indent=1) + "\n").encode())
