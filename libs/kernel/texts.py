"""Free text of people, kept in the stream `TEXTS` beside the log: hidden from facts, shown in answers, and erasable.

The log is never changed, so what may have to be erased must not stand in it. A text is kept first, and only then is the
fact appended that holds its marker; what is left of a fact that was never appended goes with its author's other texts.
The views hold markers too, so erasing changes neither them nor any proof.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import nats.errors
import orjson
from google.protobuf.message import Message

from kernel.asking import Asker
from kernel.cause import Cause, fact_id
from kernel.erasable import erasable
from kernel.errors import Unavailable
from kernel.receiving import Receiver
from modelog.rewriting import rewrite, strings
from modelog.texts import DAMAGED, ERASED, MARKER, SALT_BYTES, UNAVAILABLE, marker, markers_in, markers_of, opened

Event = TypeVar("Event", bound=Message)
STREAM = "TEXTS"
_ATTEMPT_SECONDS = 2.0
_ATTEMPTS = 3
_READ_SECONDS = 2.0
_KEPT_ALREADY = 10077  # The subject has its one message: the same text of the same fact.
_NO_MESSAGE = 10037
_REMEMBERED = 10_000


def subject_of(mark: str) -> str:
    return mark.replace("text:", "texts:", 1).replace(":", ".")


class Texts:
    """The texts of one installation, as one service keeps and reads them."""

    def __init__(self, client: Receiver, service: str, *, api_prefix: str) -> None:
        self._client = client
        self._asker = Asker(client)
        self._service = service
        self._get = f"{api_prefix}.STREAM.MSG.GET.{STREAM}"
        # Of this process: the attempts at one command make one text, and nobody can guess its salt.
        self._secret = secrets.token_bytes(32)
        self._gone: OrderedDict[str, None] = OrderedDict()

    async def hidden(self, event: Event, cause: Cause) -> tuple[Event, str]:
        """The event and the reason with markers in place of free text, once the text is kept; as they are where nobody
        wrote any. Unavailable when it could not be kept: then there must be no fact."""
        writer = _writer(cause)
        paths = list(erasable(event)) if writer else []
        if not paths and not (writer and cause.reason):
            return event, cause.reason
        texts: dict[str, bytes] = {}
        changed = type(event)()
        changed.CopyFrom(event)
        for message, name, place in erasable(changed):
            setattr(message, name, self._mark(writer, cause, place, getattr(message, name), texts))
        reason = self._mark(writer, cause, "reason", cause.reason, texts) if cause.reason else ""
        await asyncio.gather(*(self._keep(mark, kept) for mark, kept in texts.items()))
        return changed, reason

    def _mark(self, writer: str, cause: Cause, place: str, text: str, texts: dict[str, bytes]) -> str:
        if MARKER.search(text):  # Taken over from another fact, whose text is kept already.
            return text
        seed = f"{fact_id(self._service, cause)}\0{place}\0{text}".encode()
        salt = hmac.digest(self._secret, seed, hashlib.sha256)[:SALT_BYTES]
        mark = marker(writer, salt, text)
        texts[mark] = salt + text.encode()
        return mark

    async def _keep(self, mark: str, kept: bytes) -> None:
        trouble = ""
        for _ in range(_ATTEMPTS):
            try:
                answered = await self._asker.ask(subject_of(mark), kept, seconds=_ATTEMPT_SECONDS)
            except (nats.errors.Error, TimeoutError, OSError) as error:
                trouble = repr(error)
                continue
            wrong = orjson.loads(answered).get("error", {})
            if not wrong or wrong.get("err_code") == _KEPT_ALREADY:
                return
            trouble = str(wrong)
            break
        raise Unavailable(
            "TEXT_NOT_KEPT", f"what was written could not be kept, so nothing was recorded; try again: {trouble}"
        )

    async def shown(self, cls: type[Message], data: bytes) -> bytes:
        """A serialized answer with texts in place of its markers."""
        if not markers_in(data):
            return data
        message = cls.FromString(data)
        found = markers_of(strings(message))
        if not found:
            return data
        texts = await self.read(found)
        rewrite(message, lambda text: MARKER.sub(lambda one: texts[one[0]], text))
        return message.SerializeToString(deterministic=True)

    async def fact_shown(self, fact: Any) -> Any:
        """A copy of a fact, or whatever message, with texts in place of its markers."""
        return type(fact).FromString(await self.shown(type(fact), fact.SerializeToString(deterministic=True)))

    async def sentence_shown(self, text: str) -> str:
        found = markers_of([text])
        texts = await self.read(found) if found else {}
        return MARKER.sub(lambda one: texts[one[0]], text)

    async def read(self, markers: Iterable[str]) -> Mapping[str, str]:
        """The text of each marker, or in brackets why there is none."""
        wanted = list(markers)
        return dict(zip(wanted, await asyncio.gather(*map(self._read, wanted)), strict=True))

    async def _read(self, mark: str) -> str:
        if mark in self._gone:
            return ERASED
        if not self._client.is_connected:
            return UNAVAILABLE
        question = orjson.dumps({"last_by_subj": subject_of(mark)})
        try:
            answer = orjson.loads(await self._asker.ask(self._get, question, seconds=_READ_SECONDS))
        except (nats.errors.Error, TimeoutError, OSError):
            return UNAVAILABLE
        if wrong := answer.get("error"):
            return self._forgotten(mark) if wrong.get("err_code") == _NO_MESSAGE else UNAVAILABLE
        text = opened(mark, base64.b64decode(answer["message"].get("data", "")))
        return DAMAGED if text is None else text

    def _forgotten(self, mark: str) -> str:
        """A text is there before its marker is, so one that is gone stays gone."""
        self._gone[mark] = None
        if len(self._gone) > _REMEMBERED:
            self._gone.popitem(last=False)
        return ERASED


def _writer(cause: Cause) -> str:
    """Whose words they are: of whom somebody acted for, or the actor's own; empty for a service that reacts."""
    who = cause.on_behalf_of[-1] if cause.on_behalf_of else cause.actor
    return "" if who.id.startswith("services/") else who.id
