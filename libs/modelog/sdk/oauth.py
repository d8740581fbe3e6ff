"""The client's half of OAuth 2: discovery (RFC 8414), device authorization (RFC 8628), refresh.

With the standard library, so that a client installs nothing for it. Everything is asked over https, or over http on
this machine itself, and read up to a limit.
"""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modelog.sdk.channels import is_loopback

_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
_SECONDS = 15.0
_MOST_BYTES = 256 * 1024
_SLOWER_SECONDS = 5.0  # What `slow_down` adds to the interval, by RFC 8628.
_LONGEST_SECONDS = 3600.0


class Failed(Exception):
    """The issuer said no, or could not be asked. error: its code, for example `access_denied`; empty without one."""

    def __init__(self, message: str, error: str = "") -> None:
        super().__init__(message)
        self.error = error


@dataclass(frozen=True)
class Granted:
    """token: what calls carry. refresh_token: empty when there is none."""

    token: str
    refresh_token: str = ""


@dataclass(frozen=True)
class Endpoints:
    """Where an issuer answers."""

    issuer: str
    device_authorization: str
    token: str


@dataclass(frozen=True)
class Asked:
    """A device code: what a person has to do, and how it is waited for. Lengths in seconds."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_seconds: float
    interval_seconds: float


def now() -> float:
    return time.time()


def discover(issuer: str) -> Endpoints:
    """The endpoints an issuer publishes. Failed when it is another one, or does not know devices."""
    found = _ask(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if found.get("issuer") != issuer:
        raise Failed(f"what answers at {issuer} calls itself {found.get('issuer')!r}; log in under that name")
    device, token = found.get("device_authorization_endpoint"), found.get("token_endpoint")
    if not isinstance(device, str) or not isinstance(token, str):
        raise Failed(f"{issuer} does not offer the device authorization grant")
    return Endpoints(issuer, device, token)


def ask_for_device(endpoints: Endpoints, client_id: str, scope: str) -> Asked:
    reply = _ask(endpoints.device_authorization, {"client_id": client_id, "scope": scope})
    try:
        return Asked(
            str(reply["device_code"]),
            str(reply["user_code"]),
            str(reply["verification_uri"]),
            str(reply.get("verification_uri_complete") or ""),
            min(float(reply["expires_in"]), _LONGEST_SECONDS),
            max(float(reply.get("interval") or _SLOWER_SECONDS), 1.0),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Failed(f"{endpoints.issuer} gave an incomplete answer: {error!r}") from error


def wait_for_device(
    endpoints: Endpoints, client_id: str, asked: Asked, sleep: Callable[[float], None] = time.sleep
) -> Granted:
    """Asks until the person has answered. Failed with `access_denied` or `expired_token`, or what the issuer says."""
    until = time.monotonic() + asked.expires_seconds
    interval = asked.interval_seconds
    body = {"grant_type": _DEVICE, "device_code": asked.device_code, "client_id": client_id}
    while True:
        sleep(interval)
        try:
            return _granted(_ask(endpoints.token, body))
        except Failed as failed:
            if failed.error == "slow_down":
                interval += _SLOWER_SECONDS
            elif failed.error != "authorization_pending":
                raise
        if time.monotonic() > until:
            raise Failed("nobody entered the code in time; log in again", "expired_token")


def refreshed(token_endpoint: str, client_id: str, refresh_token: str) -> Granted:
    body = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": client_id}
    return _granted(_ask(token_endpoint, body))


def _granted(reply: Mapping[str, Any]) -> Granted:
    """The access token where it is a JWT, which services can verify; else the ID token, which always is one."""
    access, identity = str(reply.get("access_token") or ""), str(reply.get("id_token") or "")
    token = access if access.count(".") == 2 or not identity else identity
    if not token:
        raise Failed("the issuer gave no token")
    return Granted(token, str(reply.get("refresh_token") or ""))


def _ask(url: str, form: Mapping[str, str] | None = None) -> dict[str, Any]:
    """GET, or POST of a form. Failed with the issuer's own error where it gives one."""
    parts = urllib.parse.urlsplit(url)
    local = is_loopback(f"{parts.hostname}:{parts.port or 80}")
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise Failed(f"{url} is neither https nor on this machine, so nothing is asked there")
    data = urllib.parse.urlencode(form).encode() if form is not None else None
    request = urllib.request.Request(url, data, {"Accept": "application/json"})  # noqa: S310 - looked at above.
    opener = urllib.request.build_opener(_NoRedirects(), *([urllib.request.ProxyHandler({})] if local else []))
    try:
        with opener.open(request, timeout=_SECONDS) as reply:
            return _parsed(reply.read(_MOST_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            told = _told(error)
        code = str(told.get("error") or "")
        raise Failed(str(told.get("error_description") or code or f"{url} answered {error.code}"), code) from error
    except OSError as error:
        raise Failed(f"{url} cannot be asked: {error}") from error


def _told(error: urllib.error.HTTPError) -> dict[str, Any]:
    try:
        return _parsed(error.read(_MOST_BYTES))
    except Failed:
        return {}


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Failed("the issuer's answer is no JSON") from error
    if not isinstance(document, dict):
        raise Failed("the issuer's answer is no JSON object")
    return document


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Codes and tokens go where the issuer said, and not from there to elsewhere."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None
