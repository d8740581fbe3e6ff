"""Takes texts out of the stream `TEXTS`. The server overwrites a message that is deleted with random bytes."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import nats.errors
import orjson

from kernel.asking import Asker
from kernel.errors import Unavailable
from kernel.receiving import Receiver
from kernel.texts import STREAM, subject_of

_SECONDS = 5.0
_AT_ONCE = 64
_GONE = (10037, 10043)  # No such message, under that subject or that sequence.


class Eraser:
    """Only the archive may delete from the stream."""

    def __init__(self, client: Receiver, *, api_prefix: str) -> None:
        self._asker = Asker(client)
        self._api = api_prefix

    async def erase(self, markers: Iterable[str]) -> None:
        """Repeated, it does nothing more. Unavailable when it cannot be told whether all of them are gone."""
        await self._erase(list(map(subject_of, markers)))

    async def sweep(self, author: str) -> None:
        """Whatever is left of an author, facts or no facts: texts whose fact was never recorded too."""
        while subjects := await self._subjects(f"texts.{author}.*"):
            await self._erase(subjects)

    async def _subjects(self, below: str) -> list[str]:
        answer = await self._ask("STREAM.INFO", {"subjects_filter": below})
        return list((answer or {}).get("state", {}).get("subjects") or ())

    async def _erase(self, subjects: Sequence[str]) -> None:
        for first in range(0, len(subjects), _AT_ONCE):
            await asyncio.gather(*map(self._erase_one, subjects[first : first + _AT_ONCE]))

    async def _erase_one(self, subject: str) -> None:
        found = await self._ask("STREAM.MSG.GET", {"last_by_subj": subject})
        if found is not None:
            await self._ask("STREAM.MSG.DELETE", {"seq": found["message"]["seq"], "no_erase": False})

    async def _ask(self, verb: str, question: dict[str, Any]) -> dict[str, Any] | None:
        """The answer; None when what it asks about is not there."""
        try:
            raw = await self._asker.ask(f"{self._api}.{verb}.{STREAM}", orjson.dumps(question), seconds=_SECONDS)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise Unavailable("TEXTS_UNREACHABLE", f"{verb} of {STREAM} was not answered: {error!r}") from error
        answer = orjson.loads(raw)
        if wrong := answer.get("error"):
            if wrong.get("err_code") in _GONE:
                return None
            raise Unavailable("TEXTS_UNREACHABLE", f"{verb} of {STREAM}: {wrong}")
        return dict(answer)
