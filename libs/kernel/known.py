"""Which request ids are certainly new: spares nearly every write a look-up in Postgres.

A Bloom filter (B. H. Bloom, Space/time trade-offs in hash coding with allowable errors, 1970) over fact ids, which are
digests already, so that slices of an id serve as its hash functions. "Not in it" is certain, "in it" is asked for.
"""

from typing import Any

from kernel import tables
from kernel.postgres import Pool

_BITS_PER_ID = 16  # With four probes one in four hundred new ids is asked for in vain.
_LEAST_IDS = 1 << 17
_PAGE = 10_000


class KnownIds:
    """Filled by the projector of this process; of no use, and saying so, while another process projects."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self._mask = 0
        self._room = 0
        self._complete = False

    def certainly_new(self, fact_id: bytes) -> bool:
        """True only when no fact folded so far has this id."""
        if not self._complete:
            return False
        bits, mask = self._bits, self._mask
        for start in (0, 4, 8, 12):
            place = int.from_bytes(fact_id[start : start + 4]) & mask
            if not bits[place >> 3] & (1 << (place & 7)):
                return True
        return False

    def add(self, fact_id: bytes) -> None:
        bits, mask = self._bits, self._mask
        if not bits:
            return
        for start in (0, 4, 8, 12):
            place = int.from_bytes(fact_id[start : start + 4]) & mask
            bits[place >> 3] |= 1 << (place & 7)
        self._room -= 1

    @property
    def full(self) -> bool:
        return self._room < 0

    async def load(self, pool: Pool) -> None:
        """Takes up every id folded so far, with room for as many again."""
        self._complete = False
        count: int = await pool.fetchval(tables.COUNT_REQUESTS)
        size = 1 << (max(2 * count, _LEAST_IDS) * _BITS_PER_ID - 1).bit_length()
        self._bits, self._mask, self._room = bytearray(size >> 3), size - 1, max(2 * count, _LEAST_IDS)
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            rows: Any
            cursor = await connection.cursor(tables.SELECT_REQUEST_IDS)
            while rows := await cursor.fetch(_PAGE):
                for row in rows:
                    self.add(row[0])
        self._complete = True

    def drop(self) -> None:
        """Another process may project from now on, so nothing is certainly new."""
        self._complete = False
        self._bits = bytearray()
