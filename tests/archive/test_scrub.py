"""Comparing all stores: whatever is done to any of them is found and named, and nothing where nothing was done."""

import asyncio
import random
from pathlib import Path

import pytest

from services.archive.scrub.align import Trouble, differences
from services.archive.scrub.findings import Finding, Report, Store, gathered
from tests.archive.ground import Ground
from tests.archive.tampering import HANDS, Hand

FACTS, STEP = 700, 23


@pytest.fixture(scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return await Ground(tmp_path_factory.mktemp("ground") / "data").fill(FACTS, STEP)


def named(report: Report, store: Store, revisions: set[int]) -> bool:
    """Whether some finding about this store covers one of these revisions."""
    return any(
        one.store is store and any(one.revision <= revision <= one.last for revision in revisions)
        for one in report.findings
    )


async def test_nothing_is_found_where_nothing_was_done(ground: Ground) -> None:
    report = await ground.scrub()
    assert report.findings == []
    assert (report.size, report.checkpoints) == (FACTS, -(-FACTS // STEP))


@pytest.mark.parametrize("file", ["notary/checkpoints.jsonl", "witness/cosignatures.jsonl"])
async def test_what_is_being_signed_just_now_is_not_missing(ground: Ground, file: str, tmp_path: Path) -> None:
    """A head is written down before it is signed, and a comparison may come in between."""
    one = ground.copied(tmp_path / "one")
    path = one.folder / file
    before, last, end = path.read_bytes().rpartition(b"\n" + path.read_bytes().splitlines()[-1])
    path.write_bytes(before + b"\n")
    if file.startswith("notary"):
        cosigned = one.folder / "witness" / "cosignatures.jsonl"
        cosigned.write_bytes(b"".join(cosigned.read_bytes().splitlines(keepends=True)[:-1]))
        (one.folder / "witness" / "head.json").unlink()
    comparing = asyncio.create_task(one.scrub(patience_seconds=5.0))
    await asyncio.sleep(0.1)
    path.write_bytes(before + last + end)
    assert (await comparing).findings == []


@pytest.mark.parametrize("hand", HANDS, ids=lambda hand: hand.__name__)
async def test_every_hand_is_found_and_named(ground: Ground, hand: Hand, tmp_path: Path) -> None:
    await tampered(ground, hand, 7, tmp_path / "one")


async def tampered(ground: Ground, hand: Hand, seed: int, folder: Path) -> None:
    one = ground.copied(folder)
    store, revisions = hand(one, random.Random(f"{hand.__name__} {seed}"))
    report = await one.scrub()
    told = f"{hand.__name__} {seed}: {store} {sorted(revisions)[:5]} became {report.findings[:5]}"
    assert named(report, store, revisions), told
    strangers = {found.store for found in report.findings} - {store}
    if hand.__name__ == "view_and_tree_alike":
        strangers -= {Store.TREE}
    if hand.__name__ == "checkpoint_of_another_history":
        strangers -= {Store.WITNESS}
    assert not strangers, told


@pytest.mark.long
@pytest.mark.tampering
@pytest.mark.parametrize("part", range(10))
async def test_five_hundred_cases(ground: Ground, part: int, tmp_path: Path) -> None:
    for seed in range(part * 50, part * 50 + 50):
        await tampered(ground, HANDS[seed % len(HANDS)], seed, tmp_path / str(seed))


@pytest.mark.long
@pytest.mark.tampering
async def test_nothing_is_found_falsely_in_200_000_facts(tmp_path: Path) -> None:
    ground = await Ground(tmp_path / "data").fill(200_000, 997, bytes_each=400)
    assert (await ground.scrub()).findings == []


def leaves(text: str) -> list[bytes | None]:
    return [None if one == "." else one.encode() for one in text]


@pytest.mark.parametrize(
    ("found", "troubles"),
    [
        ("abcdefgh", []),
        ("abc.efgh", [("MISSING", 3)]),
        ("abcdef..", [("CUT", 6), ("CUT", 7)]),
        ("abcxefgh", [("CHANGED", 3)]),
        ("abcxdefg", [("INSERTED", 3)]),
        ("abcefgh.", [("MISSING", 3)]),
        ("ab...fx.", [("MISSING", 2), ("MISSING", 3), ("MISSING", 4), ("CHANGED", 6), ("CUT", 7)]),
        ("x.cdefgh", [("CHANGED", 0), ("MISSING", 1)]),
        ("abdcefgh", [("MOVED", 2)]),
    ],
)
def test_what_was_done_to_which_fact(found: str, troubles: list[tuple[str, int]]) -> None:
    expected = [one for one in leaves("abcdefgh") if one]
    told = [(code, place) for code, place, _ in differences(expected, leaves(found))]
    if troubles == [("MOVED", 2)]:
        assert told in ([("MOVED", 2)], [("MOVED", 3)])
    else:
        assert told == troubles


def test_neighbours_are_told_together() -> None:
    many = [Finding(Store.LOG, "MISSING", "gone", at, at) for at in (5, 3, 4, 9)]
    assert gathered(many) == [
        Finding(Store.LOG, "MISSING", "gone", 3, 5),
        Finding(Store.LOG, "MISSING", "gone", 9, 9),
    ]
    assert Trouble("MISSING", 3).stands_at == -1
