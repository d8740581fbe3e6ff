"""What `modelog login` keeps: tokens by issuer, in files that only their owner may read."""

import hashlib
import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from modelog.sdk import oauth, settings
from modelog.sdk.errors import NotConfigured
from modelog.sdk.tokens import expiry

if sys.platform != "win32":
    import fcntl

_LEAST_SECONDS = 30.0


@dataclass(frozen=True)
class Login:
    """One login. token: what calls carry. refresh_token: gets the next one; empty when the issuer gave none."""

    issuer: str
    client_id: str
    token_endpoint: str
    token: str
    refresh_token: str = ""


def folder() -> Path:
    """Where logins are kept: in the user's folder for configuration."""
    return settings.own_folder() / "logins"


def keep(login: Login) -> None:
    place = _place(login.issuer)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    place.parent.chmod(0o700)
    new = place.with_suffix(f".{secrets.token_hex(4)}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(json.dumps(asdict(login)))
    new.replace(place)


def forget(issuer: str) -> bool:
    """Whether there was one."""
    there = _place(issuer).exists()
    _place(issuer).unlink(missing_ok=True)
    return there


def known() -> list[Login]:
    """All logins, by issuer; files that are none are left out."""
    found = [_read(path) for path in sorted(folder().glob("*.json"))]
    return sorted((one for one in found if one is not None), key=lambda one: one.issuer)


def chosen(issuer: str = "") -> Login | None:
    """The login of an issuer, else of MODELOG_ISSUER, else the only one there is."""
    wanted = issuer or settings.issuer()
    if wanted:
        return _read(_place(wanted))
    found = known()
    return found[0] if len(found) == 1 else None


def token(issuer: str) -> str:
    """A token that is still good for a while; NotConfigured when the issuer wants to see the person again."""
    with _turn(issuer):
        login = _read(_place(issuer))
        if login is None:
            raise NotConfigured(f"not logged in at {issuer}: `modelog login {issuer}`")
        if expiry(login.token) > oauth.now() + _LEAST_SECONDS:
            return login.token
        if not login.refresh_token:
            raise NotConfigured(f"the login at {issuer} has expired: `modelog login {issuer}`")
        try:
            fresh = oauth.refreshed(login.token_endpoint, login.client_id, login.refresh_token)
        except oauth.Failed as error:
            raise NotConfigured(
                f"the login at {issuer} could not be renewed ({error}): `modelog login {issuer}`"
            ) from error
        keep(
            Login(
                issuer, login.client_id, login.token_endpoint, fresh.token, fresh.refresh_token or login.refresh_token
            )
        )
        return fresh.token


def _place(issuer: str) -> Path:
    return folder() / f"{hashlib.sha256(issuer.encode()).hexdigest()[:32]}.json"


def _read(path: Path) -> Login | None:
    try:
        return Login(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def _turn(issuer: str) -> Iterator[None]:
    """One process at a time: many issuers take a refresh token once only."""
    if sys.platform == "win32":  # Which has no such locks: there, one of two at once may have to log in again.
        yield
        return
    folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.open(_place(issuer).with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
