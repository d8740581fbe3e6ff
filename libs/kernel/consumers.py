"""Consumers under names of one's own: the server lets each user make, ask and delete only its own names.

A subject cannot be matched within a token, so there is no right to `registry-*`; each user has a fixed number of names,
which its processes share. None of them knows what the others hold, so each consumer carries a key that only its maker
knows (a priority group, which every request for messages has to name): a name that was taken over answers its former
holder with an error, never with messages that are somebody else's.
"""

import random
import secrets
from dataclasses import dataclass
from typing import Any

import orjson

from kernel.logs import structlog
from kernel.receiving import Receiver

# Followers of one user at any time, and those that crashed processes left behind for a minute.
NAMES = 16
_log = structlog.get_logger()
_TAKEN = {10013, 10105, 10148}
_ANSWER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Held:
    """A consumer of this process. key: what every request for its messages has to name."""

    name: str
    key: str


class Consumers:
    """The consumers of one user on one stream. Calls raise nats errors, TimeoutError or OSError when nobody answers."""

    def __init__(self, client: Receiver, *, stream: str, api_prefix: str) -> None:
        self._client = client
        self._stream = stream
        self._prefix = api_prefix
        self._names = [f"{client.owner}-{number}" for number in range(1, NAMES + 1)]

    async def make(self, config: dict[str, Any], *, filter_subject: str = "") -> Held | None:
        """A consumer under the first name that is free; None when the server makes none now, so try again."""
        key = secrets.token_hex(8)
        config = config | {"priority_policy": "overflow", "priority_groups": [key]}
        if filter_subject:
            config["filter_subject"] = filter_subject
        suffix = f".{filter_subject}" if filter_subject else ""
        for name in random.sample(self._names, len(self._names)):
            body = {"stream_name": self._stream, "config": config | {"name": name}, "action": "create"}
            answer = await self._ask("CREATE", f"{name}{suffix}", body)
            error = answer.get("error")
            if not error:
                return Held(name, key)
            if error.get("err_code") not in _TAKEN:
                _log.warning("consumer_refused", stream=self._stream, error=error.get("description"))
                return None
        await self._free_one()
        return None

    async def request(self, held: Held, body: dict[str, Any], *, reply: str) -> None:
        """Asks for messages, which come to `reply`."""
        subject = f"{self._prefix}.CONSUMER.MSG.NEXT.{self._stream}.{held.name}"
        await self._client.publish(subject, orjson.dumps(body | {"group": held.key}), reply=reply)

    async def drop(self, held: Held) -> None:
        await self._client.publish(f"{self._prefix}.CONSUMER.DELETE.{self._stream}.{held.name}", b"")

    async def _free_one(self) -> None:
        """Deletes the oldest consumer that nobody asks for messages. One that merely paused is made again by its
        follower, under another name and from its position."""
        answers = [await self._ask("INFO", name) for name in self._names]
        idle = [one for one in answers if "error" not in one and not one.get("num_waiting")]
        if not idle:
            _log.warning("no_name_is_free", stream=self._stream, owner=self._client.owner, names=len(self._names))
            return
        oldest = min(idle, key=lambda one: str(one["created"]))
        await self._ask("DELETE", oldest["name"])

    async def _ask(self, verb: str, name: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        subject = f"{self._prefix}.CONSUMER.{verb}.{self._stream}.{name}"
        message = await self._client.request(subject, orjson.dumps(body) if body else b"", timeout=_ANSWER_SECONDS)
        answer: dict[str, Any] = orjson.loads(message.data)
        return answer
