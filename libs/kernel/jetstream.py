"""The log on NATS JetStream: what the server does in each case was measured, and its dedupe window is not trusted."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import nats.errors
import orjson

from kernel.asking import Asker
from kernel.follow import Follower
from kernel.log import Entry, Hole, SameId, Unsettled, WrongRevision
from kernel.logs import structlog
from kernel.receiving import Receiver
from kernel.tls import ClientTls

STREAM = "LIFECYCLE"
_WRONG_SEQUENCE = {10071, 10164}
_NO_MESSAGE = 10037
_ATTEMPT_SECONDS = 2.0
_FOR_PEOPLE = ("authoriz", "authentic", "permission", "certificate", "tls")
_log = structlog.get_logger()
_SETTLE_SECONDS = 12.0


async def connect(
    url: str,
    *,
    name: str,
    user: str = "",
    password: str | Callable[[], str] = "",
    tls: ClientTls | None = None,
) -> Receiver:
    """A client that tries for ever and quickly, at first and whenever the connection is lost.

    A password that is a function is asked for at each connection, so that it may change while the client runs.
    """
    options: dict[str, Any] = {"user": user, "password": password} if user else {}
    options["reconnect_time_wait"] = 0.1
    client = Receiver(user or name, tls or ClientTls())
    await client.connect(
        url,
        name=name,
        inbox_prefix=f"_INBOX.{user or name}".encode(),
        max_reconnect_attempts=-1,
        ping_interval=10,
        max_outstanding_pings=2,
        error_cb=_Told().hear,
        skip_subject_validation=True,  # Names are checked where they come in.
        **options,
    )
    return client


class _Told:
    """Connection errors show as failed calls and as the follower's lag. What only people can put right (a password, a
    certificate, a missing right) is logged, once until something else happens."""

    def __init__(self) -> None:
        self._last = ""

    async def hear(self, error: Exception) -> None:
        text = str(error)
        if text != self._last and any(word in text.lower() for word in _FOR_PEOPLE):
            _log.error("log_refuses", error=text)
        self._last = text


class ApiError(Exception):
    """An error answer of the JetStream API."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error.get('err_code')}: {error.get('description')}")
        self.err_code = int(error.get("err_code", 0))


class JetStreamLog:
    """One stream as the log. `api_prefix` is `$JS.API`, or where another account imports it."""

    def __init__(self, client: Receiver, *, api_prefix: str = "$JS.API", stream: str = STREAM) -> None:
        self._client = client
        self._asker = Asker(client)
        self._prefix = api_prefix
        self._stream = stream

    async def append(self, subject: str, payload: bytes, *, expected: int, fact_id: str, event: str) -> int:
        headers = {
            "Nats-Msg-Id": fact_id,
            "Nats-Expected-Last-Subject-Sequence": str(expected),
            "ce-type": event,
        }
        deadline = asyncio.get_running_loop().time() + _SETTLE_SECONDS
        while True:
            try:
                answered = await self._asker.ask(subject, payload, headers=headers, seconds=_ATTEMPT_SECONDS)
                return await self._acknowledged(answered, subject, payload)
            except (nats.errors.Error, TimeoutError, OSError) as error:
                # The same bytes with the same id and the same guard are safe to send again until somebody answers.
                if asyncio.get_running_loop().time() > deadline:
                    raise Unsettled(f"no answer from the log: {error!r}") from error
                await asyncio.sleep(0.1)

    async def _acknowledged(self, answered: bytes, subject: str, payload: bytes) -> int:
        answer = orjson.loads(answered)
        if error := answer.get("error"):
            if error.get("err_code") in _WRONG_SEQUENCE:
                return await self._stored_already(subject, payload)
            raise ApiError(error)
        revision: int = answer["seq"]
        if answer.get("duplicate"):
            entry = await self._at(revision)
            if entry.payload != payload or entry.subject != subject:
                raise SameId(entry)
        return revision

    async def _stored_already(self, subject: str, payload: bytes) -> int:
        """One replica calls a repeated append a wrong sequence; only the stored bytes tell it from a lost race."""
        answer = await self._api("STREAM.MSG.GET", {"last_by_subj": subject})
        if answer is not None:
            entry = _entry(answer["message"])
            if entry.payload == payload:
                return entry.revision
        raise WrongRevision(subject)

    async def next(self, subject: str, after: int) -> Entry | None:
        answer = await self._api("STREAM.MSG.GET", {"seq": after + 1, "next_by_subj": subject})
        return None if answer is None else _entry(answer["message"])

    async def _at(self, revision: int) -> Entry:
        answer = await self._api("STREAM.MSG.GET", {"seq": revision})
        if answer is None:
            raise Hole(revision, 0)
        return _entry(answer["message"])

    async def head(self) -> int:
        return int((await self.state())["last_seq"])

    async def state(self) -> dict[str, Any]:
        """The stream's own account of itself: messages, first_seq, last_seq, num_deleted, ..."""
        answer = await self.info()
        if not answer:
            raise Hole(1, 0)
        state: dict[str, Any] = answer["state"]
        return state

    async def configuration(self) -> dict[str, Any]:
        """The stream's configuration as the server holds it, to compare with the pinned one."""
        return dict((await self.info()).get("config", {}))

    async def info(self) -> dict[str, Any]:
        """All that the server says of the stream; `created` tells it from another one of the same name."""
        return await self._api("STREAM.INFO", {}) or {}

    async def _api(self, verb: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """One call to the leader; None when there is no such message. Unsettled when nobody answers in time."""
        body = orjson.dumps(request) if request else b""
        deadline = asyncio.get_running_loop().time() + _SETTLE_SECONDS
        while True:
            try:
                answered = await self._asker.ask(
                    f"{self._prefix}.{verb}.{self._stream}", body, seconds=_ATTEMPT_SECONDS
                )
                break
            except (nats.errors.Error, TimeoutError, OSError) as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise Unsettled(f"no answer from the log: {error!r}") from error
                await asyncio.sleep(0.1)
        answer: dict[str, Any] = orjson.loads(answered)
        if wrong := answer.get("error"):
            if wrong.get("err_code") == _NO_MESSAGE:
                return None
            raise ApiError(wrong)
        return answer

    async def follow(
        self, after: int, *, linger_seconds: float = 0.0, below: str = ""
    ) -> AsyncIterator[Sequence[Entry]]:
        head = await self.head()
        if head < after:
            raise Hole(after + 1, head)
        wanted = f"{below}.>" if below else ""
        follower = Follower(
            self._client, stream=self._stream, api_prefix=self._prefix, after=after, filter_subject=wanted
        )
        async with follower:
            loop = asyncio.get_running_loop()
            while True:
                began = loop.time()
                yield await follower.batch()
                if (rest := began + linger_seconds - loop.time()) > 0 and not follower.behind:
                    await asyncio.sleep(rest)


def _entry(message: dict[str, Any]) -> Entry:
    return Entry(message["seq"], message["subject"], base64.b64decode(message.get("data", "")))
