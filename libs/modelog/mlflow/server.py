"""A tracking server over REST: it is only read, in pages, and asked again where it was too busy to answer."""

import base64
import http.client
import json
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from modelog.mlflow.records import File, ModelVersion, RegisteredModel, Run, file_of, model_of, run_of, version_of
from modelog.mlflow.settings import Credentials

_API = "/api/2.0/mlflow/"
_PROXY = "/api/2.0/mlflow-artifacts/artifacts"
_PAGE_SIZE = 200
_MOST_PAGES = 100_000
_MOST_REPLY_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_TIMEOUT_SECONDS = 30.0
_ATTEMPTS = 5
_LONGEST_PAUSE_SECONDS = 20.0
_AGAIN = frozenset([429, 500, 502, 503, 504])
_LOOPBACK = frozenset(["localhost", "127.0.0.1", "::1"])


Record = TypeVar("Record")


class MlflowError(Exception):
    """The tracking server said no, or did not answer. reason: its error code, or UNREACHABLE."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{message} ({reason})")
        self.reason = reason


class Server:
    """The tracking server at `uri`. Safe between threads. ValueError where credentials would travel in plain text."""

    def __init__(
        self,
        uri: str,
        credentials: Credentials = Credentials(),  # noqa: B008 - immutable.
        *,
        plain_text: bool = False,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        attempts: int = _ATTEMPTS,
    ) -> None:
        parts = urllib.parse.urlsplit(uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{uri!r} is no address of a tracking server: write http://host:5000 or https://host")
        port = f":{parts.port}" if parts.port else ""
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        # What is recorded of it: without credentials, and the same however it was typed.
        self.uri = f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"
        if parts.username:
            credentials = Credentials(
                username=urllib.parse.unquote(parts.username), password=urllib.parse.unquote(parts.password or "")
            )
        self._headers = {"Accept": "application/json", "User-Agent": "modelog", **_authorization(credentials)}
        seen = "Authorization" in self._headers and parts.scheme == "http" and parts.hostname not in _LOOPBACK
        if seen and not plain_text:
            raise ValueError(
                f"credentials for {self.uri} would travel in plain text; use https, or --plain-text where the network "
                "may see them"
            )
        self._timeout = timeout_seconds
        self._attempts = attempts
        self._opener = urllib.request.build_opener(_StayHere())

    def models(self) -> Iterator[RegisteredModel]:
        for page in self._pages("registered-models/search", {"order_by": "name ASC"}):
            yield from _read(model_of, page.get("registered_models"))

    def versions(self, model: str) -> list[ModelVersion]:
        """All versions that were not deleted, by number."""
        pages = self._pages("model-versions/search", {"filter": f"name={_quoted(model)}"})
        found = [one for page in pages for one in _read(version_of, page.get("model_versions"))]
        return sorted((one for one in found if one.model == model and one.number), key=lambda one: one.number)

    def run(self, run_id: str) -> Run:
        (found,) = _read(run_of, [self._json(f"{_API}runs/get", {"run_id": run_id}).get("run")])
        return found

    def artifact_uri(self, version: ModelVersion) -> str:
        """Where the version's files are, as an address that the tracking server's proxy may know."""
        query = {"name": version.model, "version": str(version.number)}
        return str(self._json(f"{_API}model-versions/get-download-uri", query).get("artifact_uri") or "")

    def files(self, folder: str) -> list[File]:
        """The entries of a folder of the proxy."""
        return _read(file_of, self._json(_PROXY, {"path": folder}).get("files"))

    def content(self, path: str) -> Iterator[bytes]:
        """The bytes of a file of the proxy; what breaks off in the middle is an MlflowError."""
        address = f"{_PROXY}/{urllib.parse.quote(path)}"
        with self._open(address) as reply:
            # What ends too early is not told by reads of so many bytes.
            left = int(reply.headers.get("Content-Length") or -1)
            try:
                while chunk := reply.read(_CHUNK_BYTES):
                    left -= len(chunk)
                    yield chunk
                if left > 0:
                    raise OSError(f"{left} bytes are missing")
            except (OSError, http.client.HTTPException) as error:
                raise MlflowError("UNREACHABLE", f"{path} broke off: {error}") from error

    def _pages(self, method: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        token = ""
        for _ in range(_MOST_PAGES):
            more = {"page_token": token} if token else {}
            page = self._json(_API + method, {**query, "max_results": str(_PAGE_SIZE), **more})
            yield page
            token = str(page.get("next_page_token") or "")
            if not token:
                return
        raise MlflowError("TOO_MANY_PAGES", f"{method} does not come to an end")

    def _json(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        with self._open(f"{path}?{urllib.parse.urlencode(query)}") as reply:
            try:
                raw = reply.read(_MOST_REPLY_BYTES + 1)
            except (OSError, http.client.HTTPException) as error:
                raise MlflowError("UNREACHABLE", f"{path} broke off: {error}") from error
        if len(raw) > _MOST_REPLY_BYTES:
            raise MlflowError("REPLY_TOO_LARGE", f"{path} answered more than {_MOST_REPLY_BYTES} bytes")
        try:
            said = json.loads(raw)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise MlflowError("NOT_MLFLOW", f"{self.uri}{path} did not answer as a tracking server does")
        return said

    def _open(self, address: str) -> Any:
        """The reply; asked for again, a bounded number of times, while the server is busy or away."""
        request = urllib.request.Request(self.uri + address, headers=self._headers)  # noqa: S310 - http or https.
        for attempt in range(1, self._attempts + 1):
            try:
                return self._opener.open(request, timeout=self._timeout)
            except urllib.error.HTTPError as error:
                failure, pause = _refused(error), _pause(attempt, error.headers.get("Retry-After", ""))
                if error.code not in _AGAIN or attempt == self._attempts:
                    raise failure from error
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", error)
                failure, pause = MlflowError("UNREACHABLE", f"{self.uri} does not answer: {reason}"), _pause(attempt)
                if attempt == self._attempts:
                    raise failure from error
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")


def _read(record: Callable[[Any], Record], said: Any) -> list[Record]:
    """Records of what a reply lists; MlflowError for what no tracking server says."""
    try:
        return [record(one) for one in said or ()]
    except (AttributeError, TypeError, ValueError) as error:
        raise MlflowError("NOT_MLFLOW", f"the server's answer cannot be read: {error}") from error


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirect to another server, who would be shown the credentials."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            raise MlflowError("REDIRECTED", f"the server is at {new.scheme}://{new.netloc}; give that address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _authorization(credentials: Credentials) -> dict[str, str]:
    if credentials.token:
        return {"Authorization": f"Bearer {credentials.token}"}
    if credentials.username:
        pair = f"{credentials.username}:{credentials.password}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def _quoted(text: str) -> str:
    """As MLflow's filters write a text; MlflowError for one that they cannot."""
    for quote in ("'", '"'):
        if quote not in text:
            return f"{quote}{text}{quote}"
    raise MlflowError("NAME_NOT_QUOTABLE", f"{text!r} holds both kinds of quotes, which no filter there takes")


def _refused(error: urllib.error.HTTPError) -> MlflowError:
    """What the server says of itself, else the status."""
    try:
        said = json.loads(error.read(_CHUNK_BYTES))
        return MlflowError(str(said["error_code"]), str(said.get("message", ""))[:500])
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
        return MlflowError(f"HTTP_{error.code}", f"{error.url} answered {error.code} {error.reason}")


def _pause(attempt: int, told: str = "") -> float:
    """Seconds before the next attempt: what the server says, else twice as long each time, halved at random."""
    seconds = float(told) if told.isdecimal() else 0.25 * 2**attempt * random.uniform(0.5, 1.0)
    return min(seconds, _LONGEST_PAUSE_SECONDS)
