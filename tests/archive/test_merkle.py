"""The tree against the published vectors of RFC 6962 and against its definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.archive import merkle, tiles
from tests.archive.trees import Log, defined_path, defined_proof, defined_root

# The reference leaves and roots of certificate-transparency (merkletree/merkle_tree_test).
LEAVES = [
    bytes.fromhex(one)
    for one in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): INCLUSION[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}

sizes = st.integers(min_value=1, max_value=600)


def payloads(count: int) -> list[bytes]:
    return [at.to_bytes(4) for at in range(count)]


LOG = Log(payloads(600))


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.root_of([]) == merkle.EMPTY_ROOT


@pytest.mark.parametrize("size", range(1, 9))
def test_published_roots(size: int) -> None:
    assert Log(LEAVES).root(size).hex() == ROOTS[size - 1]
    assert merkle.root_of(map(merkle.leaf_hash, LEAVES[:size])).hex() == ROOTS[size - 1]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_published_inclusion_proofs(index: int, size: int) -> None:
    proof = Log(LEAVES).inclusion(index, size)
    assert [one.hex() for one in proof] == INCLUSION[index, size]


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_published_consistency_proofs(old: int, new: int) -> None:
    proof = Log(LEAVES).consistency(old, new)
    assert [one.hex() for one in proof] == CONSISTENCY[old, new]
    assert merkle.consistent(old, new, bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[new - 1]), proof)


@given(sizes, st.data())
def test_proofs_are_those_of_the_definition_and_hold(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    leaves = payloads(size)
    root = defined_root(leaves)
    assert LOG.root(size) == root
    path = LOG.inclusion(index, size)
    assert path == defined_path(index, leaves)
    assert merkle.root_of_inclusion(index, size, merkle.leaf_hash(leaves[index]), path) == root
    proof = LOG.consistency(old, size)
    assert proof == defined_proof(old, leaves)
    assert merkle.consistent(old, size, defined_root(leaves[:old]), root, proof)


@given(sizes, st.data())
def test_a_damaged_proof_never_holds(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    path = LOG.inclusion(index, size)
    leaf, root = merkle.leaf_hash(index.to_bytes(4)), LOG.root(size)
    assert merkle.root_of_inclusion(index, size, leaf, [*path, leaf]) != root
    if path:
        at = data.draw(st.integers(0, len(path) - 1))
        assert merkle.root_of_inclusion(index, size, leaf, [*path[:at], leaf, *path[at + 1 :]]) != root
        assert merkle.root_of_inclusion(index, size, leaf, path[:-1]) != root
    old = data.draw(st.integers(1, size))
    proof = LOG.consistency(old, size)
    if proof:
        assert not merkle.consistent(old, size, LOG.root(old), root, proof[:-1])
        assert not merkle.consistent(old, size, LOG.root(old), root, [*proof, leaf])
        assert not merkle.consistent(old, size, LOG.root(old)[::-1], root, proof)


@given(st.lists(st.integers(0, 300), max_size=6))
def test_tiles_do_not_depend_on_how_the_log_was_cut_into_batches(batches: list[int]) -> None:
    grown = Log()
    for count in batches:
        start = len(grown.payloads)
        grown.append(at.to_bytes(4) for at in range(start, start + count))
    assert grown.tiles == Log(payloads(sum(batches))).tiles


def test_a_third_level_of_tiles() -> None:
    count = tiles.WIDTH * tiles.WIDTH + 3
    big = Log(payloads(count))
    assert {level for level, _ in big.tiles} == {0, 1, 2}
    assert big.root(count) == merkle.root_of(merkle.leaf_hash(one) for one in payloads(count))
    path = big.inclusion(65_500, count)
    assert merkle.root_of_inclusion(65_500, count, merkle.leaf_hash((65_500).to_bytes(4)), path) == big.root(count)
    needed = tiles.tiles_for(merkle.inclusion_spans(65_500, count))
    assert len(needed) <= 4, "a proof must not read many rows"
    assert all(one in big.tiles for one in needed)


def test_a_tile_that_lost_bytes_is_not_extended() -> None:
    log = Log(payloads(10))
    with pytest.raises(ValueError, match="tile 0/0"):
        tiles.extend({(0, 0): log.tiles[0, 0][:-32]}, 10, [merkle.leaf_hash(b"x")])


@given(st.integers(0, 600), st.data())
def test_aligned_subtrees_complete_a_tree(low: int, data: st.DataObject) -> None:
    high = data.draw(st.integers(low, 600))
    covered = low
    for level, index in merkle.aligned(low, high):
        assert index << level == covered
        covered += 1 << level
    assert covered == high
