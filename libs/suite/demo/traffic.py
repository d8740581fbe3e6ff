"""Live requests: patients' rows, one a request, sent through the gateway in the Open Inference Protocol V2."""

import asyncio
import http.client
import itertools
import json
import threading
import time
import uuid
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from suite.demo.train import Data

_THREADS = 3
_CALL_SECONDS = 20.0
VERSION_HEADER = "x-modelog-version"


class Answer(NamedTuple):
    """What came of one request. status 0: no answer at all. label: -1 without one. truth: what the patient has."""

    prediction: str
    status: int
    version: str
    label: int
    truth: int


class Traffic:
    """Sends requests at a steady rate while open (`async with`). `data` may be changed at any moment."""

    def __init__(self, address: str, model: str, data: Data, *, per_second: float = 100.0) -> None:
        parts = urlsplit(address)
        self.data = data
        self.answers: list[Answer] = []
        self._host = parts.netloc
        self._path = f"{parts.path}/v2/models/{model.rpartition('/')[2]}/infer"
        self._pause = _THREADS / per_second
        self._rows = itertools.count()
        self._stop = threading.Event()
        self._answered = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._name = uuid.uuid4().hex[:12]
        self._threads = [threading.Thread(target=self._run, args=(place,), daemon=True) for place in range(_THREADS)]

    async def __aenter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    async def more(self, count: int, *, seconds: float = 60.0) -> None:
        """Waits for `count` further answers."""
        wanted = len(self.answers) + count
        async with asyncio.timeout(seconds):
            while len(self.answers) < wanted:
                self._answered.clear()
                await self._answered.wait()

    def since(self, place: int) -> Sequence[Answer]:
        return self.answers[place:]

    def _run(self, place: int) -> None:
        connection = http.client.HTTPConnection(self._host, timeout=_CALL_SECONDS)
        due = time.monotonic() + self._pause * place / _THREADS
        while not self._stop.wait(max(due - time.monotonic(), 0)):
            # A slow answer is not made up for: a person waits as well before the next one.
            due = max(due + self._pause, time.monotonic())
            self.answers.append(self._ask(connection, next(self._rows)))
            self._loop.call_soon_threadsafe(self._answered.set)
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, number: int) -> Answer:
        data, request_id = self.data, f"{self._name}-{number}"
        row, truth = data.rows[number % len(data.labels)], int(data.labels[number % len(data.labels)])
        tensor = {"name": "X", "shape": [1, len(row)], "datatype": "FP32", "data": row.tolist()}
        body = json.dumps({"id": request_id, "inputs": [tensor], "outputs": [{"name": "label"}]})
        try:
            connection.request("POST", self._path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return Answer(f"{request_id}-0", 0, "", -1, truth)
        version = response.headers.get(VERSION_HEADER, "")
        label = int(json.loads(content)["outputs"][0]["data"][0]) if response.status == 200 else -1
        return Answer(f"{request_id}-0", response.status, version, label, truth)
