"""Rebuild equality: the resources that the archive shows, folded again from the copy and compared row by row."""

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

from kernel.fold import Kind
from kernel.folding import Folding
from kernel.log import Entry
from services.archive.scrub.findings import Report, Store


class StateTables(Protocol):
    """The tables of every kind; see queries.ViewTables."""

    async def newest(self, kind: Kind, upto: int) -> list[tuple[Any, ...]]: ...

    async def former(self, kind: Kind, upto: int) -> list[tuple[Any, ...]]: ...

    async def requests(self, upto: int) -> list[tuple[Any, ...]]: ...


class States:
    """Folds what it is given, in order; `compare` then says which rows are not what this gives."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._kinds = kinds
        self._folding = Folding("archive", kinds, projected=())
        self._newest: dict[Kind, dict[str, tuple[int, bytes]]] = {kind: {} for kind in kinds}
        self._former: dict[Kind, dict[tuple[str, int], bytes]] = {kind: {} for kind in kinds}
        self._requests: dict[bytes, tuple[Any, ...]] = {}

    def fold(self, entries: Sequence[Entry]) -> None:
        items = self._folding.read(entries)
        for kind, names in self._folding.missing(items, trust_first=False).items():
            self._folding.hold(kind, names, {})  # From the beginning of the log, so there is nothing before.
        batch = self._folding.fold(items)
        for kind, rows in batch.history.items():
            for row in rows:
                self._former[kind][row.name, row.revision] = _digest(row.recorded_at, row.body)
                self._newest[kind][row.name] = row.revision, row.body
        for request in batch.requests:
            self._requests.setdefault(request[0], request)

    async def compare(self, tables: StateTables, upto: int, report: Report) -> None:
        for kind in self._kinds:
            there = {(name, revision): _digest(*rest) for name, revision, *rest in await tables.former(kind, upto)}
            _differ(self._former[kind], there, f"{kind.table}_history", report)
            current = {(name, revision): body for name, revision, body in await tables.newest(kind, upto)}
            newest = {(name, revision): body for name, (revision, body) in self._newest[kind].items()}
            moved_on = {name for name, _ in newest} - {name for name, _ in current}
            if moved_on:  # Further facts have come since: what is newest by now is for the next round.
                later = {name for name, revision, _ in await tables.newest(kind, 1 << 62) if revision > upto}
                newest = {key: body for key, body in newest.items() if key[0] not in later}
            _differ(newest, current, kind.table, report)
        requests = {(request[2], request[3]): request for request in self._requests.values()}
        there_too = {(row[2], row[3]): row for row in await tables.requests(upto)}
        _differ(requests, there_too, "request", report)


def _digest(recorded_at: Any, body: bytes) -> bytes:
    return hashlib.sha256(f"{recorded_at.timestamp()} ".encode() + body).digest()


def _differ(wanted: dict[tuple[str, int], Any], there: dict[tuple[str, int], Any], table: str, report: Report) -> None:
    for name, revision in sorted(wanted.keys() | there.keys(), key=lambda key: (key[1], key[0])):
        key = (name, revision)
        if key not in there:
            report.found(Store.VIEW, "MISSING", f"table {table} has no row of {name}", revision)
        elif key not in wanted:
            report.found(Store.VIEW, "INSERTED", f"table {table} has a row of {name} that no fact made", revision)
        elif wanted[key] != there[key]:
            report.found(Store.VIEW, "CHANGED", f"table {table}: {name} is not what the facts make it", revision)
