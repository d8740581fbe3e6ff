"""Packs damaged at random: whatever is in the folder, the verifier says what is wrong and never breaks."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from modelog.packs.check import verify
from tests.archive.trees import VKEY, packed
from tests.packs.ground import ENTRIES, LOG, SIGNER, pack, signed_again

# What says by whom a pack is signed, and what holds that: a hint that nobody believes may change.
ENVELOPE = "manifest.dsse"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packs")
    count = len(ENTRIES)
    (folder / "log.tar").write_bytes(packed(LOG.files(1, count, count), 1, count, count))
    return pack(folder / "pack")


def copied(clean: Path, seed: object) -> Path:
    folder = clean.parent / f"copy-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(clean, folder)
    return folder


@pytest.mark.parametrize("seed", range(120))
def test_one_flipped_bit_is_found_in_the_file_where_it_is(seed: int, clean: Path) -> None:
    chance, folder = random.Random(seed), copied(clean, seed)
    names = sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file())
    name = chance.choice([one for one in names if one != ENVELOPE])
    content = bytearray((folder / name).read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    (folder / name).write_bytes(content)
    found = {one.file for one in verify(folder, VKEY, [SIGNER]).findings}
    assert name in found, (name, found)
    shutil.rmtree(folder)


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_bit_of_the_signature_is_found_or_means_nothing(seed: int, clean: Path) -> None:
    chance, folder = random.Random(seed), copied(clean, f"signature-{seed}")
    content = bytearray((folder / ENVELOPE).read_bytes())
    hint = content.index(b'"keyid"'), content.index(b'"sig"')
    place = chance.randrange(len(content))
    content[place] ^= 1 << chance.randrange(8)
    (folder / ENVELOPE).write_bytes(content)
    found = {one.file for one in verify(folder, VKEY, [SIGNER]).findings}
    assert ENVELOPE in found or hint[0] <= place < hint[1]
    shutil.rmtree(folder)


@pytest.mark.parametrize("seed", range(20))
def test_a_file_that_breaks_off_is_found(seed: int, clean: Path) -> None:
    chance, folder = random.Random(seed), copied(clean, f"cut-{seed}")
    names = sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file())
    name = chance.choice(names)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: chance.randrange(len(content))])
    assert name in {one.file for one in verify(folder, VKEY, [SIGNER]).findings}
    shutil.rmtree(folder)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(key="revision", value=0)
@example(key="revision", value=18)
@example(key="facts", value=[])
@example(key="checkpoint", value={})
@given(key=st.sampled_from(["facts", "checkpoint", "selection", "revision", "format"]), value=JSON)
def test_a_manifest_of_any_shape_is_judged(key: str, value: Any, clean: Path) -> None:
    folder = copied(clean, "shape")
    manifest = json.loads((folder / "manifest.json").read_text())
    harmless = manifest[key] == value or key == "selection"  # One that chooses less leaves nothing out.
    signed_again(folder, manifest | {key: value})
    report = verify(folder, VKEY, [SIGNER], clean.parent / "log.tar")
    assert report.findings or harmless


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_in_place_of_a_file_are_judged(raw: bytes, clean: Path) -> None:
    folder = copied(clean, "bytes")
    for name in ("manifest.dsse", "policy.json", "checkpoint", "facts.jsonl", "proofs/000000000004.tlog-proof"):
        (folder / name).write_bytes(raw)
    assert verify(folder, VKEY, [SIGNER]).findings
    (folder / "manifest.json").write_bytes(raw)
    assert "NOT_A_PACK" in {one.code for one in verify(folder, VKEY, [SIGNER]).findings}
