"""Hands that tamper with each store of an archive.

Every hand returns what a comparison has to name: the store, and revisions of which one at least has to be named.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kernel.log import Entry
from modelog.log.v1.fact_pb2 import Fact
from services.archive.checkpoint import Head, sign
from services.archive.keys import open_key
from services.archive.merkle import leaf_hash
from services.archive.reading import row_of
from services.archive.scrub.findings import Store
from services.archive.vault.segment import frame, records
from tests.archive.ground import Ground
from tests.archive.trees import ORIGIN, Log

Named = tuple[Store, set[int]]
Hand = Callable[[Ground, random.Random], Named]


def changed(payload: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(payload))
    return payload[:place] + bytes([payload[place] ^ (1 << chance.randrange(8))]) + payload[place + 1 :]


def _forged(at: int, chance: random.Random) -> bytes:
    fact = Fact(id=f"{chance.getrandbits(120):032x}", resource="projects/risk/models/m1", generation=at)
    return fact.SerializeToString(deterministic=True)


# -- the log


def log_flip(ground: Ground, chance: random.Random) -> Named:
    at = chance.randrange(len(ground.log.entries))
    one = ground.log.entries[at]
    ground.log.entries[at] = one._replace(payload=changed(one.payload, chance))
    return Store.LOG, {at + 1}


def log_moved_subject(ground: Ground, chance: random.Random) -> Named:
    at = chance.randrange(len(ground.log.entries))
    ground.log.entries[at] = ground.log.entries[at]._replace(subject="lifecycle.registry.risk.models.other")
    return Store.LOG, {at + 1}


def log_drop(ground: Ground, chance: random.Random) -> Named:
    at, length = chance.randrange(1, len(ground.log.entries) - 60), chance.randrange(1, 50)
    del ground.log.entries[at : at + length]
    return Store.LOG, set(range(at + 1, at + length + 1))


def log_cut(ground: Ground, chance: random.Random) -> Named:
    at = chance.randrange(1, len(ground.log.entries))
    del ground.log.entries[at:]
    return Store.LOG, {at + 1}


def log_reorder(ground: Ground, chance: random.Random) -> Named:
    one, other = chance.sample(range(len(ground.log.entries)), 2)
    entries = ground.log.entries
    entries[one], entries[other] = (
        entries[other]._replace(revision=one + 1),
        entries[one]._replace(revision=other + 1),
    )
    return Store.LOG, {one + 1, other + 1}


def log_insert(ground: Ground, chance: random.Random) -> Named:
    at = chance.randrange(len(ground.log.entries))
    entries = ground.log.entries
    entries.insert(at, Entry(at + 1, entries[at].subject, _forged(at, chance)))
    ground.log.entries = [one._replace(revision=number) for number, one in enumerate(entries, 1)]
    return Store.LOG, {at + 1}


def log_drop_and_close_up(ground: Ground, chance: random.Random) -> Named:
    at = chance.randrange(len(ground.log.entries) - 1)
    del ground.log.entries[at]
    ground.log.entries = [one._replace(revision=number) for number, one in enumerate(ground.log.entries, 1)]
    return Store.LOG, {at + 1}


# -- the copy


def _segment(ground: Ground, chance: random.Random) -> tuple[Path, list[tuple[int, Entry]]]:
    _, path = chance.choice(ground.vault.segments())
    path.chmod(0o600)
    found = [(offset, one) for offset, one in records(path.read_bytes()) if isinstance(one, Entry)]
    return path, found


def copy_flip(ground: Ground, chance: random.Random) -> Named:
    path, found = _segment(ground, chance)
    data = path.read_bytes()
    place = chance.randrange(len(data))
    path.write_bytes(data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :])
    return Store.COPY, {max((one for offset, one in found if offset <= place), key=lambda one: one.revision).revision}


def copy_edit(ground: Ground, chance: random.Random) -> Named:
    path, found = _segment(ground, chance)
    at = chance.randrange(len(found))
    entries = [one for _, one in found]
    entries[at] = entries[at]._replace(payload=changed(entries[at].payload, chance))
    path.write_bytes(b"".join(map(frame, entries)))
    return Store.COPY, {entries[at].revision}


def copy_cut(ground: Ground, chance: random.Random) -> Named:
    path = ground.vault.segments()[-1][1]
    found = [(offset, one) for offset, one in records(path.read_bytes()) if isinstance(one, Entry)]
    offset, one = chance.choice(found)
    path.write_bytes(path.read_bytes()[: offset + chance.choice((0, 7))])
    return Store.COPY, {one.revision}


def copy_drop(ground: Ground, chance: random.Random) -> Named:
    path, found = _segment(ground, chance)
    at = chance.randrange(len(found))
    path.write_bytes(b"".join(frame(one) for _, one in found[:at] + found[at + 1 :]))
    return Store.COPY, {found[at][1].revision}


def copy_drop_segment(ground: Ground, chance: random.Random) -> Named:
    path, found = _segment(ground, chance)
    path.unlink()
    return Store.COPY, {found[0][1].revision}


def copy_reorder(ground: Ground, chance: random.Random) -> Named:
    path, found = _segment(ground, chance)
    entries = [one for _, one in found]
    if len(entries) < 2:
        return copy_edit(ground, chance)
    one, other = sorted(chance.sample(range(len(entries)), 2))
    entries[one], entries[other] = entries[other], entries[one]
    path.write_bytes(b"".join(map(frame, entries)))
    return Store.COPY, {entry.revision for entry in entries[one : other + 1]}


def copy_insert(ground: Ground, chance: random.Random) -> Named:
    path, found = _segment(ground, chance)
    at = chance.randrange(len(found))
    entries = [one for _, one in found]
    forged = entries[at]._replace(payload=_forged(at, chance))
    path.write_bytes(b"".join(map(frame, [*entries[:at], forged, *entries[at:]])))
    return Store.COPY, {entries[at].revision}


def copy_garbage(ground: Ground, chance: random.Random) -> Named:
    path, found = _segment(ground, chance)
    offset, one = chance.choice(found)
    data = path.read_bytes()
    path.write_bytes(data[:offset] + chance.randbytes(chance.randrange(1, 90)) + data[offset:])
    return Store.COPY, {one.revision}


def copy_closed_line(ground: Ground, chance: random.Random) -> Named:
    path = ground.vault.folder / "closed.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    at = chance.randrange(len(lines))
    lines[at]["root"] = chance.randbytes(32).hex()
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Store.COPY, {lines[at]["first"]}


# -- the tree


def tree_flip(ground: Ground, chance: random.Random) -> Named:
    tile = chance.choice(list(ground.tables.held))
    held = ground.tables.held[tile]
    ground.tables.held[tile] = changed(held, chance)
    width = 256 ** tile[0]
    place = next(at for at in range(len(held)) if held[at] != ground.tables.held[tile][at]) // 32
    return Store.TREE, {(tile[1] * 256 + place) * width + 1}


def tree_drop(ground: Ground, chance: random.Random) -> Named:
    tile = chance.choice(list(ground.tables.held))
    del ground.tables.held[tile]
    return Store.TREE, {tile[1] * 256 ** (tile[0] + 1) + 1}


def tree_cut(ground: Ground, chance: random.Random) -> Named:
    tile = chance.choice(list(ground.tables.held))
    held = ground.tables.held[tile]
    ground.tables.held[tile] = held[:-32]
    return Store.TREE, {(tile[1] * 256 + len(held) // 32 - 1) * 256 ** tile[0] + 1}


def tree_reorder(ground: Ground, chance: random.Random) -> Named:
    number = chance.choice([one[1] for one in ground.tables.held if one[0] == 0])
    held = ground.tables.held[0, number]
    parts = [held[at : at + 32] for at in range(0, len(held), 32)]
    one, other = chance.sample(range(len(parts)), 2)
    parts[one], parts[other] = parts[other], parts[one]
    ground.tables.held[0, number] = b"".join(parts)
    return Store.TREE, {number * 256 + one + 1, number * 256 + other + 1}


# -- checkpoints and cosignatures


def _line_flip(path: Path, chance: random.Random) -> int:
    lines = path.read_bytes().split(b"\n")[:-1]
    at = chance.randrange(len(lines))
    size = int(json.loads(lines[at])["size"])
    line = changed(lines[at], chance)
    lines[at] = line.replace(b"\n", b"\x0b")
    path.write_bytes(b"\n".join(lines) + b"\n")
    return size


def _line_drop(path: Path, chance: random.Random) -> int:
    lines = path.read_bytes().splitlines(keepends=True)
    line = lines.pop(chance.randrange(len(lines)))
    path.write_bytes(b"".join(lines))
    return int(json.loads(line)["size"])


def _line_cut(path: Path, chance: random.Random) -> set[int]:
    lines = path.read_bytes().splitlines(keepends=True)
    at = chance.randrange(1, len(lines))
    path.write_bytes(b"".join(lines[:at]))
    return {int(json.loads(line)["size"]) for line in lines[at:]}


def _line_reorder(path: Path, chance: random.Random) -> set[int]:
    lines = path.read_bytes().splitlines(keepends=True)
    one, other = chance.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    path.write_bytes(b"".join(lines))
    return {int(json.loads(line)["size"]) for line in lines[min(one, other) : max(one, other) + 1]}


def checkpoint_flip(ground: Ground, chance: random.Random) -> Named:
    return Store.CHECKPOINTS, {_line_flip(ground.checkpoints.folder / "checkpoints.jsonl", chance)}


def checkpoint_drop(ground: Ground, chance: random.Random) -> Named:
    return Store.CHECKPOINTS, {_line_drop(ground.checkpoints.folder / "checkpoints.jsonl", chance)}


def checkpoint_cut(ground: Ground, chance: random.Random) -> Named:
    return Store.CHECKPOINTS, _line_cut(ground.checkpoints.folder / "checkpoints.jsonl", chance)


def checkpoint_reorder(ground: Ground, chance: random.Random) -> Named:
    return Store.CHECKPOINTS, _line_reorder(ground.checkpoints.folder / "checkpoints.jsonl", chance)


def checkpoint_of_another_history(ground: Ground, chance: random.Random) -> Named:
    """Signed with the log's own key, by somebody who holds it."""
    path = ground.checkpoints.folder / "checkpoints.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    at = chance.randrange(len(lines))
    head = Head(ORIGIN, lines[at]["size"], chance.randbytes(32))
    lines[at] |= {"root": head.root.hex(), "note": sign(head, open_key(ground.checkpoints.folder, ORIGIN))}
    path.write_text("".join(json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n" for line in lines))
    return Store.CHECKPOINTS, {head.size}


def witness_flip(ground: Ground, chance: random.Random) -> Named:
    return Store.WITNESS, {_line_flip(ground.statements.path, chance)}


def witness_drop(ground: Ground, chance: random.Random) -> Named:
    return Store.WITNESS, {_line_drop(ground.statements.path, chance)}


def witness_cut(ground: Ground, chance: random.Random) -> Named:
    return Store.WITNESS, _line_cut(ground.statements.path, chance)


def witness_reorder(ground: Ground, chance: random.Random) -> Named:
    return Store.WITNESS, _line_reorder(ground.statements.path, chance)


# -- views


def view_edit(ground: Ground, chance: random.Random) -> Named:
    at = chance.randrange(len(ground.tables.entries))
    row = ground.tables.entries[at]
    column = chance.choice(("payload", "subject", "actor", "event_type", "correlation_id", "resource"))
    value: Any = changed(row.payload, chance) if column == "payload" else getattr(row, column) + "x"
    edited: dict[str, Any] = {column: value}
    ground.tables.entries[at] = row._replace(**edited)
    return Store.VIEW, {at + 1}


def view_drop(ground: Ground, chance: random.Random) -> Named:
    at = chance.randrange(len(ground.tables.entries) - 1)
    del ground.tables.entries[at]
    return Store.VIEW, {at + 1}


def view_reorder(ground: Ground, chance: random.Random) -> Named:
    rows = ground.tables.entries
    one, other = chance.sample(range(len(rows)), 2)
    rows[one], rows[other] = rows[other]._replace(revision=one + 1), rows[one]._replace(revision=other + 1)
    return Store.VIEW, {one + 1, other + 1}


def view_and_tree_alike(ground: Ground, chance: random.Random) -> Named:
    """Somebody with every right to the database, who also puts the tree in order over what was changed."""
    at = chance.randrange(len(ground.tables.entries))
    row = ground.tables.entries[at]
    forged = row_of(Entry(row.revision, row.subject, changed(row.payload, chance)))
    ground.tables.entries[at] = forged
    tree = Log(one.payload for one in ground.tables.entries)
    assert leaf_hash(forged.payload) in tree.tiles[0, at // 256]
    ground.tables.held = tree.tiles
    return Store.VIEW, {at + 1}


HANDS: tuple[Hand, ...] = (
    *(log_flip, log_moved_subject, log_drop, log_cut, log_reorder, log_insert, log_drop_and_close_up),
    *(copy_flip, copy_edit, copy_cut, copy_drop, copy_drop_segment, copy_reorder, copy_insert, copy_garbage),
    *(copy_closed_line, tree_flip, tree_drop, tree_cut, tree_reorder),
    *(checkpoint_flip, checkpoint_drop, checkpoint_cut, checkpoint_reorder, checkpoint_of_another_history),
    *(witness_flip, witness_drop, witness_cut, witness_reorder),
    *(view_edit, view_drop, view_reorder, view_and_tree_alike),
)
