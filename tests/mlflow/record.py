"""Records what a real tracking server answers to an import: `python -m tests.mlflow.record URI first|more`.

Into recorded.json, which the fake server replays. Of files only the MLmodel is kept whole: digests are made anew from
whatever the bytes are.
"""

import base64
import io
import json
import sys
import urllib.error
import urllib.response
import zipfile
from pathlib import Path
from typing import Any

from modelog.mlflow.artifacts import fetch
from modelog.mlflow.server import MlflowError, Server

RECORDED = Path(__file__).with_name("recorded.json")
_KEPT_BYTES = 64
_SCHEMA = '{"__class__": "LogisticRegression", "__module__": "sklearn.linear_model._logistic"}'
Answers = dict[str, dict[str, Any]]


class Recording(Server):
    """Keeps every answer by what was asked: path and query."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.answers: Answers = {}
        self._opener.open = self._kept(self._opener.open)  # type: ignore[method-assign]

    def _kept(self, opened: Any) -> Any:
        def ask(request: Any, timeout: float) -> Any:
            address = request.full_url.removeprefix(self.uri)
            try:
                with opened(request, timeout=timeout) as reply:
                    status, body, headers = reply.status, reply.read(), reply.headers
            except urllib.error.HTTPError as error:
                status, body, headers = error.code, error.read(), error.headers
            whole = "json" in address or "?" in address or address.endswith("MLmodel")
            body = body if whole else _short(address, body)
            self.answers[address] = {"status": status, "body": base64.b64encode(body).decode()}
            if "?" in address:
                self.answers[address] = {"status": status, "json": _cut(json.loads(body))}
            if status >= 400:
                raise urllib.error.HTTPError(request.full_url, status, "", {}, io.BytesIO(body))  # type: ignore[arg-type]
            del headers["Content-Length"]
            return urllib.response.addinfourl(io.BytesIO(body), headers, request.full_url)

        return ask


def _cut(said: Any) -> Any:
    """Sizes of files as they are kept."""
    for file in said.get("files", ()) if isinstance(said, dict) else ():
        if "file_size" in file and not file["path"].endswith("MLmodel"):
            whole = bytes(int(file["file_size"]))
            file["file_size"] = len(_short(file["path"], whole))
    return said


def _short(path: str, body: bytes) -> bytes:
    """The beginning of a file; of a skops model the smallest one, for the beginning of an archive is no archive."""
    if not path.endswith(".skops"):
        return body[:_KEPT_BYTES]
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as archive:
        archive.writestr(zipfile.ZipInfo("schema.json"), _SCHEMA)
    return kept.getvalue()


def everything(server: Server) -> None:
    """Asks for all that an import asks for."""
    for model in list(server.models()):
        for version in server.versions(model.name):
            server.run(version.run_id)
            try:
                fetch(server, server.artifact_uri(version))
            except MlflowError as error:
                print(version.id, error)


def main(uri: str, what: str) -> None:
    server = Recording(uri)
    everything(server)
    known: dict[str, Answers] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    known[what] = {key: one for key, one in server.answers.items() if known.get("first", {}).get(key) != one}
    RECORDED.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
