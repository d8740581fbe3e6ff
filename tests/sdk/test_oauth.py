"""The device flow's answers that a provider seldom gives: slower, too late, incomplete, elsewhere."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from modelog.sdk import NotConfigured, logins, oauth


class Issuer:
    """Plays answers one after the other, the last over and over: (status, body)."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[tuple[int, Any]] = []
        self.forms: list[str] = []


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    played = Issuer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            played.forms.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
            status, body = played.answers.pop(0) if len(played.answers) > 1 else played.answers[0]
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: Any) -> None:
            """Forms are kept above."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        played.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield played
        server.shutdown()
        thread.join()


def endpoints(issuer: Issuer) -> oauth.Endpoints:
    return oauth.Endpoints(issuer.url, issuer.url, issuer.url)


def asked(**changed: Any) -> oauth.Asked:
    usual: dict[str, Any] = {"expires_seconds": 600.0, "interval_seconds": 2.0}
    return oauth.Asked("device", "CODE", "https://x/", "", **(usual | changed))


def test_it_asks_more_slowly_when_told_so(issuer: Issuer) -> None:
    pending, slower = (400, {"error": "authorization_pending"}), (400, {"error": "slow_down"})
    issuer.answers = [pending, slower, pending, (200, {"access_token": "a.b.c", "refresh_token": "r"})]
    waited: list[float] = []
    granted = oauth.wait_for_device(endpoints(issuer), "cli", asked(), waited.append)
    assert granted == oauth.Granted("a.b.c", "r")
    assert waited == [2.0, 2.0, 7.0, 7.0]


@pytest.mark.parametrize("error", ["access_denied", "expired_token", "invalid_client"])
def test_a_refusal_ends_it(issuer: Issuer, error: str) -> None:
    issuer.answers = [(400, {"error": error})]
    with pytest.raises(oauth.Failed) as failed:
        oauth.wait_for_device(endpoints(issuer), "cli", asked(), lambda _seconds: None)
    assert failed.value.error == error


def test_nobody_waits_longer_than_the_code_lives(issuer: Issuer) -> None:
    issuer.answers = [(400, {"error": "authorization_pending"})]
    with pytest.raises(oauth.Failed) as failed:
        oauth.wait_for_device(endpoints(issuer), "cli", asked(expires_seconds=0.0), lambda _seconds: None)
    assert failed.value.error == "expired_token"


@pytest.mark.parametrize(
    "answer",
    [(200, b"<html>"), (200, []), (302, {}), (500, b""), (200, {}), (200, {"device_code": "d", "expires_in": "soon"})],
)
def test_an_answer_that_is_none_is_said(issuer: Issuer, answer: tuple[int, Any]) -> None:
    issuer.answers = [answer]
    with pytest.raises(oauth.Failed):
        oauth.ask_for_device(endpoints(issuer), "cli", "openid")


def test_a_provider_without_devices_is_said(issuer: Issuer) -> None:
    issuer.answers = [(200, {"issuer": issuer.url, "token_endpoint": issuer.url})]
    with pytest.raises(oauth.Failed, match="device authorization grant"):
        oauth.discover(issuer.url)


@pytest.mark.parametrize("url", ["http://id.example.org", "ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_nothing_is_asked_in_the_clear_over_a_network(url: str) -> None:
    with pytest.raises(oauth.Failed, match="neither https nor on this machine"):
        oauth.discover(url)


def test_an_opaque_access_token_gives_way_to_the_id_token(issuer: Issuer) -> None:
    issuer.answers = [(200, {"access_token": "opaque", "id_token": "a.b.c"})]
    assert oauth.refreshed(issuer.url, "cli", "r").token == "a.b.c"


def test_a_login_is_renewed_once_and_a_failure_keeps_what_there_was(
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("MODELOG_ISSUER", raising=False)
    old, new = (jwt.encode({"exp": seconds}, "k" * 32, "HS256") for seconds in (1, 4_000_000_000))
    logins.keep(logins.Login(issuer.url, "cli", issuer.url, old, "refresh"))
    issuer.answers = [(503, b""), (200, {"access_token": new})]
    with pytest.raises(NotConfigured, match="could not be renewed"):
        logins.token(issuer.url)
    assert logins.token(issuer.url) == new == logins.token(issuer.url)
    assert len(issuer.forms) == 2
    assert logins.chosen() == logins.Login(issuer.url, "cli", issuer.url, new, "refresh")
    logins.keep(logins.Login("https://id.example.org", "cli", "", new))
    assert logins.chosen() is None
    assert logins.forget(issuer.url)
    assert not logins.forget(issuer.url)
