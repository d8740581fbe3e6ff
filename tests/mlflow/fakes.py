"""A tracking server that replays what a real one answered, counts what it is asked, and fails as it is told."""

import base64
import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.mlflow.record import RECORDED, Answers

# Status, headers and body.
Said = tuple[int, dict[str, str], bytes]


@lru_cache(maxsize=1)
def _recorded() -> dict[str, Answers]:
    known: dict[str, Answers] = json.loads(RECORDED.read_text())
    return known


class FakeMlflow:
    """answers: by path and query. Before an answer the next of `failures`, where `failing` says that it is its turn."""

    def __init__(self, *states: str) -> None:
        self.answers: Answers = {}
        for state in states:
            self.answers |= _recorded()[state]
        self.asked: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.failures: list[Said] = []
        self.failing: Callable[[str], bool] = lambda _: True
        self.uri = ""
        self._lock = threading.Lock()

    def answer(self, address: str, headers: dict[str, str]) -> Said:
        with self._lock:
            self.asked[address] += 1
            self.headers.append(headers)
            if self.failures and self.failing(address):
                return self.failures.pop(0)
        said = self.answers.get(address)
        if said is None:
            missing = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"{address} was not recorded"}
            return 404, {}, json.dumps(missing).encode()
        body = json.dumps(said["json"]).encode() if "json" in said else base64.b64decode(said["body"])
        return said["status"], {}, body

    def downloads(self) -> int:
        """How many files were read."""
        return sum(count for address, count in self.asked.items() if "/artifacts/" in address and "?" not in address)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # Else a connection too many at once comes a second later.


@contextlib.contextmanager
def serving(fake: FakeMlflow) -> Iterator[str]:
    """The fake on a free port; its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = fake.answer(self.path, dict(self.headers))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            """Tests are quiet."""

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    fake.uri = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield fake.uri
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
