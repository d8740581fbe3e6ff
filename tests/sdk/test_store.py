"""Stores: a folder and a bucket keep the same promises, and what comes out is what its digest says, or nothing."""

import contextlib
import hashlib
import io
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from modelog.cli.progress import transfer
from modelog.registry.v1.types_pb2 import Version
from modelog.sdk import download_artifact, upload_artifact
from modelog.sdk import store_bucket as bucket_module
from modelog.sdk.store import Store, WrongDigest, open_store, store_of
from testkit.s3 import s3_bucket

CONTENT = os.urandom(3 << 20)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_bucket("models") as address:
        yield f"{address}/of/risk"


@pytest.fixture(params=["folder", "bucket"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.getfixturevalue("s3") + f"/{tmp_path.name}" if request.param == "bucket" else str(tmp_path / "store")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(CONTENT)
    return path


def folder_of(tmp_path: Path) -> Path:
    folder = tmp_path / "large"
    (folder / "parts").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "parts" / "1.bin").write_bytes(CONTENT)
    (folder / "parts" / "2.bin").write_bytes(b"")
    return folder


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_goes_in_once_and_comes_out_the_same(address: str, model: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    artifact = upload_artifact(model, store=address, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert (artifact.sha256, artifact.size_bytes) == (hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    assert artifact.uri.endswith(f"/sha256/{artifact.sha256}")
    assert upload_artifact(model, store=address) == artifact
    out = download_artifact(Version(artifact=artifact), tmp_path / "out" / "model.bin")
    assert out.read_bytes() == CONTENT
    assert names_in(out.parent) == ["model.bin"]


def test_a_folder_goes_in_file_by_file_and_comes_out_whole(address: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    artifact = upload_artifact(folder, store=address)
    assert [one.path for one in artifact.files] == ["config.json", "parts/1.bin", "parts/2.bin"]
    assert (artifact.format, artifact.size_bytes) == ("folder", len(CONTENT) + 2)
    out = download_artifact(Version(artifact=artifact), tmp_path / "out")
    assert files_in(out) == files_in(folder)
    (folder / "config.json").write_text("[]")
    assert upload_artifact(folder, store=address).sha256 != artifact.sha256


def test_many_at_once_leave_one_object(address: str, model: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda _: upload_artifact(model, store=address), range(8)))
    assert len({one.uri for one in stored}) == 1
    out = download_artifact(Version(artifact=stored[0]), tmp_path / "out")
    assert out.read_bytes() == CONTENT


def test_nothing_in_the_store_is_ever_replaced(address: str, model: Path) -> None:
    store = open_store(address)
    sha256 = upload_artifact(model, store=address).sha256
    with contextlib.suppress(WrongDigest):
        store.put(b"something else", sha256, lambda _: None)
    assert b"".join(store.chunks(sha256)) == CONTENT


def test_a_file_that_changes_while_it_is_sent_is_not_stored(address: str, model: Path) -> None:
    store = open_store(address)
    for content in (b"x", CONTENT):
        with pytest.raises(WrongDigest, match="it was changed"):
            store.put(content, "ab" * 32, lambda _: None)
        assert not store.has("ab" * 32)


def test_large_objects_go_in_parts_and_broken_ones_leave_nothing(
    s3: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "_ONE_REQUEST_BYTES", 1 << 20)
    artifact = upload_artifact(model, store=f"{s3}/parts")
    assert b"".join(store_of(artifact.uri, artifact.sha256).chunks(artifact.sha256)) == CONTENT
    with pytest.raises(WrongDigest):
        open_store(f"{s3}/parts").put(model, "cd" * 32, lambda _: None)
    assert not open_store(f"{s3}/parts").has("cd" * 32)


class Lying:
    """A store that hands out other bytes than were put there."""

    def __init__(self, inner: Store, change: Any) -> None:
        self._inner, self._change = inner, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def chunks(self, sha256: str) -> Iterator[bytes]:
        yield from self._change(b"".join(self._inner.chunks(sha256)))


LIES = {
    "changed": lambda body: [body[:-1], b"?"],
    "longer": lambda body: iter([body, b"more" * 1000]),
    "shorter": lambda body: [body[:-1]],
    "empty": lambda body: [],
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_wrong_bytes_never_become_a_file(lie: str, kind: str, model: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    artifact = upload_artifact(model if kind == "file" else folder_of(tmp_path), store=str(store))
    liar: Any = Lying(open_store(store), LIES[lie])
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(WrongDigest):
        download_artifact(Version(artifact=artifact), out / "model", store=liar)
    assert names_in(out) == []


def test_a_download_that_breaks_off_leaves_nothing(model: Path, tmp_path: Path) -> None:
    artifact = upload_artifact(model, store=str(tmp_path / "store"))

    def breaking(body: bytes) -> Iterator[bytes]:
        yield body[:100]
        raise OSError("the line is dead")

    out = tmp_path / "out"
    out.mkdir()
    liar: Any = Lying(open_store(tmp_path / "store"), breaking)
    with pytest.raises(OSError, match="dead"):
        download_artifact(Version(artifact=artifact), out / "model", store=liar)
    assert names_in(out) == []


def test_a_list_of_files_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    inner = hashlib.sha256(b"x").hexdigest()
    store.put(b"x", inner, lambda _: None)
    for path in ("../out", "/etc/x", "a/../../b"):
        text = f"modelog folder 1\n{inner} 1 {path}\n".encode()
        sha256 = hashlib.sha256(text).hexdigest()
        store.put(text, sha256, lambda _: None)
        version = Version(artifact={"uri": store.uri(sha256), "sha256": sha256, "files": [{"path": path}]})
        with pytest.raises(ValueError, match="names no file inside"):
            download_artifact(version, tmp_path / "out")
    assert names_in(tmp_path) == ["store"]


def test_a_download_replaces_only_what_it_is_told_to(model: Path, tmp_path: Path) -> None:
    version = Version(artifact=upload_artifact(model, store=str(tmp_path / "store")))
    target = tmp_path / "mine"
    target.write_text("mine")
    with pytest.raises(FileExistsError):
        download_artifact(version, target)
    assert target.read_text() == "mine"
    assert download_artifact(version, target, force=True).read_bytes() == CONTENT


def test_where_there_are_no_links_a_download_appears_all_the_same(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_names: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", no_links)
    version = Version(artifact=upload_artifact(model, store=str(tmp_path / "store")))
    assert download_artifact(version, tmp_path / "out" / "model").read_bytes() == CONTENT
    assert names_in(tmp_path / "out") == ["model"]


def test_what_is_in_no_store_is_said_so(tmp_path: Path, s3: str) -> None:
    for uri in ("s3://models/1.onnx", "https://a.example.test/sha256/" + "ab" * 32, "cas:sha256/" + "cd" * 32, "x"):
        with pytest.raises(ValueError, match="fetch it yourself"):
            store_of(uri, "ab" * 32)
    for wrong in ("https://a.example.test", "file://host/a", "s4://a"):
        with pytest.raises(ValueError, match="is no store"):
            open_store(wrong)
    for address in (str(tmp_path), s3):
        with pytest.raises(FileNotFoundError):
            list(open_store(address).chunks("ab" * 32))
    with pytest.raises(OSError, match="none-such"):
        open_store("s3://none-such").put(b"x", hashlib.sha256(b"x").hexdigest(), lambda _: None)


def test_links_and_strange_names_are_not_packed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match="is a link"):
        upload_artifact(folder, store=str(tmp_path / "store"))
    (folder / "link").unlink()
    (folder / "a\nb").touch()
    with pytest.raises(ValueError, match="rename it"):
        upload_artifact(folder, store=str(tmp_path / "store"))


def test_a_bar_is_drawn_for_people_only(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    for stream, as_json, drawn in ((Terminal(), False, True), (io.StringIO(), False, False), (Terminal(), True, False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with transfer("storing", shown=not as_json) as progress:
            upload_artifact(model, store=str(tmp_path / "store"), progress=progress)
        assert ("storing" in stream.getvalue()) == drawn
