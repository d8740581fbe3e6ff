"""The secrets of webhooks: made from keys in one file, so none of them stands in a fact, a view or a backup of either.

A secret is HMAC-SHA256(key, name and number). Creating a webhook therefore stays one fact: there is no second place
that could miss what the log has, and a request whose answer was lost is answered with the same secret.
"""

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

_KEY_BYTES = 32
_ID_DIGITS = 16
_PREFIX = "whsec_"


class Keyring:
    """The first key makes new secrets; the others are there for secrets that were made from them."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {_id_of(key): key for key in keys}
        self.newest = _id_of(keys[0])

    def secret(self, key_id: str, name: str, number: int) -> str:
        """`whsec_...`; empty when the key is not here."""
        key = self._keys.get(key_id)
        if key is None:
            return ""
        made = hmac.digest(key, f"{name}\0{number}".encode(), "sha256")
        return _PREFIX + base64.b64encode(made).decode()


def _id_of(key: bytes) -> str:
    return hashlib.sha256(b"modelog webhooks\0" + key).hexdigest()[:_ID_DIGITS]


def open_keyring(path: Path) -> Keyring:
    """The keys in a file, one a line in base64; made when there is no file. SystemExit when it cannot be used."""
    if not path.exists():
        _make(path)
    if path.stat().st_mode & 0o077:
        raise SystemExit(f"{path} can be read by others: chmod 0400, then rotate the secrets of all webhooks")
    try:
        keys = [base64.b64decode(line, validate=True) for line in path.read_text().split()]
    except ValueError as error:
        raise SystemExit(f"{path}: a line is not base64: {error}") from error
    if not keys or any(len(key) < _KEY_BYTES for key in keys):
        raise SystemExit(f"{path}: needs one key of at least {_KEY_BYTES} bytes in each line")
    return Keyring(keys)


def _make(path: Path) -> None:
    """Whole or not at all, and by one of several processes that start at once."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:
        file.write(base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return
    finally:
        draft.unlink()
