"""One comparison of everything that holds facts: what the stores have, and what was signed.

Which facts are the true ones is decided by the roots that were signed, not by who says so: a store that leads to them
is right, and the others are told apart by it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from kernel.log import Log
from services.archive.merkle import leaf_hash, root_of
from services.archive.scrub.findings import Report, Store, gathered
from services.archive.scrub.reference import Blocks, Leaves
from services.archive.scrub.signed import Meant, SignedFiles, last_size, meant_in
from services.archive.scrub.sources import CopySource, Found, LogSource, Tables, ViewSource, leaves_in
from services.archive.tiles import WIDTH, extend
from services.archive.vault.vault import Vault
from services.archive.witness.statements import Statements

BLOCK = 4 * WIDTH
_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Stores:
    """What is compared. settled: returns once copy and views have had time to reach a revision.

    patience_seconds: for who writes down what they are about to sign, and a moment later that they did.
    """

    log: Log
    vault: Vault
    views: Tables
    notary_dir: Path
    statements: Statements
    settled: Callable[[int], Awaitable[None]]
    patience_seconds: float = 2.0


async def scrub(stores: Stores, known: int, share: float = 1.0) -> Report:
    """Compares everything up to what is there now. known: up to where the views say they are.

    share: of the time that this may take from others; with 0.1 it rests nine times as long as it works.
    Memory: 32 bytes a fact, and a few hundred for each that is disputed.
    """
    report = Report()
    signed = SignedFiles(stores.notary_dir, stores.statements, report, await _meant(stores))
    report.size = end = max(known, stores.vault.end(), max(signed.heads, default=0))
    await stores.settled(end)
    blocks = Blocks()
    copy = CopySource(stores.vault, report)
    log, view = LogSource(stores.log), ViewSource(stores.views, report)
    damaged: set[int] = set()
    try:
        for first in range(1, end + 1, BLOCK):
            began = asyncio.get_running_loop().time()
            last = min(first + BLOCK - 1, end)
            held = {
                Store.LOG: await log.read(first, last),
                Store.COPY: copy.read(first, last),
                Store.VIEW: await view.read(first, last),
            }
            damaged.update(one for one in range(first, last + 1) if copy.damaged(one))
            blocks.add(first, _leaves(held) | {Store.TREE: await _tree(stores.views, first, last)})
            _compare_subjects(held, first, report)
            spent = asyncio.get_running_loop().time() - began
            await asyncio.sleep(spent * (1 / share - 1))
    finally:
        await log.close()
    settled, roots = blocks.settle(sorted((size, one.root) for size, one in signed.heads.items() if size <= end))
    blocks.name_differences(settled, report, {Store.COPY: damaged})
    signed.judge(roots, end)
    await _upper_tiles(stores.views, blocks, settled, report)
    _closed_segments(stores.vault, blocks, settled, report)
    report.findings = gathered(report.findings)
    return report


async def _meant(stores: Stores) -> Meant:
    """What was meant to be written last, once there has been time to write it."""
    folders = {Store.WITNESS: stores.statements.folder, Store.CHECKPOINTS: stores.notary_dir}
    files = {Store.WITNESS: stores.statements.path, Store.CHECKPOINTS: stores.notary_dir / "checkpoints.jsonl"}
    meant = {store: meant_in(folder) for store, folder in folders.items()}
    deadline = asyncio.get_running_loop().time() + stores.patience_seconds
    while any(last_size(files[store]) < size for store, size in meant.items()):
        if asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(_LOOK_SECONDS)
    return meant


def _leaves(held: dict[Store, Found]) -> dict[Store, Leaves]:
    return {store: [leaf_hash(one.payload) if one else None for one in found] for store, found in held.items()}


async def _tree(views: Tables, first: int, last: int) -> Leaves:
    numbers = range((first - 1) // WIDTH, (last - 1) // WIDTH + 1)
    tiles = await views.tiles([(0, number) for number in numbers])
    leaves: list[bytes | None] = []
    for number in numbers:
        leaves += leaves_in(tiles.get((0, number)), min(WIDTH, last - number * WIDTH))
    return leaves


def _compare_subjects(held: dict[Store, Found], first: int, report: Report) -> None:
    """Subjects are no part of the tree, so here two of three are right."""
    told = {store: [one.subject if one else None for one in found] for store, found in held.items()}
    if told[Store.COPY] == told[Store.LOG] == told[Store.VIEW]:
        return
    for place, revision in enumerate(range(first, first + len(told[Store.COPY]))):
        said = [told[store][place] for store in (Store.COPY, Store.LOG, Store.VIEW)]
        same = [one for one in said if one is not None]
        true = next((one for one in same if same.count(one) > 1), same[0] if same else None)
        payloads = {one.payload for found in held.values() if (one := found[place])}
        for store, found in held.items():
            if (one := found[place]) and one.subject != true and len(payloads) == 1:
                report.found(store, "CHANGED", f"the fact stands under {one.subject}, not under {true}", revision)


async def _upper_tiles(views: Tables, blocks: Blocks, settled: dict[int, Leaves], report: Report) -> None:
    """Hashes above the leaves; the leaves themselves were compared as such."""
    edge: dict[tuple[int, int], bytes] = {}
    size = 0
    for first in sorted([*blocks.agreed, *settled]):
        leaves = [one for one in blocks.leaves(first, settled) if one is not None]
        changed = extend(edge, size, leaves)
        size += len(leaves)
        edge = {tile: hashes for tile, hashes in (edge | changed).items() if tile[0]}
        if size % WIDTH:
            break  # The last block: nothing is begun behind it.
    for tile, there in (await views.tiles(sorted(edge))).items() if edge else ():
        wanted = leaves_in(edge[tile], len(edge[tile]) // 32)
        for place, (is_there, should_be) in enumerate(zip(leaves_in(there, len(wanted)), wanted, strict=True)):
            if is_there != should_be:
                low, high = place << 8 * tile[0], (place + 1 << 8 * tile[0])
                base = tile[1] << 8 * (tile[0] + 1)
                text = f"hash {place} of tile {tile[0]}/{tile[1]} is not the one over these facts"
                report.found(Store.TREE, "CHANGED", text, base + low + 1, base + high)
        edge.pop(tile)
    for level, number in edge:
        first, last = (number << 8 * (level + 1)) + 1, (number + 1) << 8 * (level + 1)
        report.found(Store.TREE, "MISSING", f"there is no tile {level}/{number}", first, last)


def _closed_segments(vault: Vault, blocks: Blocks, settled: dict[int, Leaves], report: Report) -> None:
    """The roots written down when segments were closed; their facts and files were compared before."""
    per_segment: dict[int, list[bytes]] = {}
    lines = {line["first"]: line for line in vault.closed()}
    if not lines:
        return
    for first in sorted([*blocks.agreed, *settled]):
        for revision, leaf in enumerate(blocks.leaves(first, settled), first):
            start = (revision - 1) // vault.facts * vault.facts + 1
            if start in lines and leaf is not None:
                per_segment.setdefault(start, []).append(leaf)
    for start, leaves in per_segment.items():
        if root_of(leaves).hex() != lines[start]["root"]:
            report.found(Store.COPY, "CHANGED", "closed.jsonl has another root for this segment", start)
