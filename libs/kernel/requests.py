"""What every request came to, for ever: from this process's memory, then the view, and last the log's own guard."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kernel import tables
from kernel.batching import Batcher
from kernel.cause import Cause, fact_id
from kernel.errors import AlreadyExists
from kernel.known import KnownIds
from kernel.postgres import Pool
from modelog.log.v1.fact_pb2 import Fact

_REMEMBERED = 50_000


class Outcome(NamedTuple):
    """The fact that a request made: digest of the request, name of the resource, position in the log, generation."""

    digest: bytes
    name: str
    revision: int
    generation: int


class Requests:
    """Finds the outcome of an earlier request with the same id of the same actor."""

    def __init__(self, pool: Pool, service: str, known: KnownIds) -> None:
        self._pool = pool
        self._service = service
        self._known = known
        self._recent: OrderedDict[bytes, Outcome] = OrderedDict()
        self._batcher: Batcher[bytes, Outcome] = Batcher(self._rows)

    async def find(self, cause: Cause) -> Outcome | None:
        """The outcome, None for a new request; AlreadyExists when the id was used for something else."""
        key = self._key(cause)
        outcome = self._recent.get(key)
        if outcome is None and not self._known.certainly_new(key):
            outcome = await self._batcher.get(key)
        return None if outcome is None else same(outcome, cause)

    def _key(self, cause: Cause) -> bytes:
        return bytes.fromhex(fact_id(self._service, cause))

    def remember(self, fact: Fact, revision: int) -> Outcome:
        """Keeps what a fact answers that this process wrote, or read from the log, until the view has it."""
        outcome = Outcome(fact.request_digest, fact.resource, revision, fact.generation)
        self._recent[bytes.fromhex(fact.id)] = outcome
        if len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)
        return outcome

    async def _rows(self, ids: Sequence[bytes]) -> Mapping[bytes, Outcome]:
        return {row[0]: Outcome(*row[1:]) for row in await self._pool.fetch(tables.SELECT_REQUESTS, ids)}


def same(outcome: Outcome, cause: Cause) -> Outcome:
    """The outcome itself when it was the same request; AlreadyExists otherwise."""
    if outcome.digest not in (cause.request_digest, cause.whole_digest):
        raise AlreadyExists(
            "REQUEST_ID_REUSED",
            f"request_id {cause.request_id!r} was used for another request; use a new id for each request",
            metadata={"resource": outcome.name, "revision": str(outcome.revision)},
        )
    return outcome
