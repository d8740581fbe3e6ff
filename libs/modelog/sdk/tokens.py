"""Tokens that calls carry: from a text, a file, a program, the suite nearby, or `modelog login`."""

import base64
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelog.sdk.errors import NotConfigured

# A token is renewed when a fifth of what it had left is over, or 10 seconds before its end, whichever is sooner.
_SHARE_LEFT = 0.2
_LEAST_SECONDS = 10.0
_UNKNOWN_SECONDS = 30.0  # Of one that does not say when it ends.


class Tokens:
    """One token at a time, fetched again before it expires. Safe between threads."""

    def __init__(self, fetch: Callable[[], str], changed: Callable[[], object] = lambda: None) -> None:
        """fetch: gives a token and may block. changed: something that differs when another one is to be fetched."""
        self._fetch = fetch
        self._changed = changed
        self._seen: object = None
        self._token = ""
        self._until = 0.0
        self._lock = threading.Lock()

    def ready(self) -> str:
        """The present token, without waiting for anything; empty when it has to be fetched."""
        return self._token if time.time() < self._until and self._changed() == self._seen else ""

    def fetched(self) -> str:
        """The present token, or a new one. NotConfigured when there is none."""
        with self._lock:
            if token := self.ready():
                return token
            seen = self._changed()
            token = self._fetch().strip()
            if not token or not token.isascii() or not token.isprintable():
                raise NotConfigured("there is no token where one was to be: give another, or `modelog login`")
            self._token, self._until, self._seen = token, _renewal(token), seen
            return token


def of_text(text: str | Callable[[], str]) -> Tokens:
    return Tokens(text if callable(text) else lambda: text)


def of_file(path: str | Path) -> Tokens:
    """The file is read again when it changes, as what renews it does from time to time."""
    place = Path(path)

    def read() -> str:
        try:
            return place.read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            raise NotConfigured(f"no token can be read from {place}: {error}") from error

    return Tokens(read, lambda: _signature(place))


def of_suite(folder: Path, actor: str, on_behalf_of: tuple[str, ...]) -> Tokens | None:
    """Signed with the key of a suite on this machine; None for whoever may not read it."""
    if not os.access(folder / "key.pem", os.R_OK):
        return None
    try:
        from suite.issuer import Issuer, person  # Only where there is a suite, there are libraries of servers.
    except ImportError:
        return None
    return Tokens(lambda: Issuer(folder).token(actor or person(), on_behalf_of=on_behalf_of))


def expiry(token: str) -> float:
    """When a JWT says that it ends, in seconds since 1970; 0 for what says nothing. Nothing of it is verified."""
    try:
        segment = token.split(".")[1]
        claims: Any = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
        return float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError, RecursionError):
        return 0.0


def _renewal(token: str) -> float:
    now, expires = time.time(), expiry(token)
    if not expires:
        return now + _UNKNOWN_SECONDS
    return expires - max((expires - now) * _SHARE_LEFT, _LEAST_SECONDS)


def _signature(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)
