"""What files are, and what their pickles name. The hostile ones are put together by hand and never loaded."""

import collections
import gzip
import io
import json
import pickle
import pickletools
import random
import re
import struct
import tarfile
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelog.artifacts import scan as scan_module
from modelog.artifacts.formats import detect, holds_pickles
from modelog.artifacts.globals import DANGEROUS, LISTED, UNLISTED, permits, rate
from modelog.artifacts.pickles import Listing, Unreadable, list_one
from modelog.artifacts.scan import scan
from modelog.registry.v1.artifacts_pb2 import (
    SCAN_VERDICT_CLEAN,
    SCAN_VERDICT_DANGEROUS,
    SCAN_VERDICT_INCOMPLETE,
    SCAN_VERDICT_UNLISTED,
    PickleScan,
)
from modelog.sdk.artifacts import describe_artifact

# Each would run a command when it is loaded. Written opcode by opcode, since nothing here may make one by pickling.
REDUCED = b"cos\nsystem\n(S'touch PWNED'\ntR."
MALICIOUS = {
    "global": REDUCED,
    "protocol 2": b"\x80\x02" + REDUCED,
    "inst": b"(S'touch PWNED'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\nS'touch PWNED'\no.",
    "stack global": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0btouch PWNED\x85R.",
    "names from the memo": b"\x80\x04\x8c\x06system\x940\x8c\x05posixh\x00\x93\x8c\x0btouch PWNED\x85R.",
    "names put behind a mark": b"\x80\x04\x8c\x05posix(\x8c\x01a1\x8c\x06system\x93\x8c\x01b\x85R.",
    "names swapped by pop": b"\x80\x04\x8c\x05posix\x8c\x04math0\x8c\x06system\x93\x8c\x01b\x85R.",
    "name made at run time": b"\x80\x04\x8c\x05posix]\x93\x8c\x01b\x85R.",
    "builtins": b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x00a\x85R.",
    "getattr chain": b"\x80\x02cbuiltins\ngetattr\n(cnumpy\nndarray\nX\x06\x00\x00\x00tofiletR.",
    "pydoc": b"\x80\x02cpydoc\nlocate\nX\x09\x00\x00\x00os.system\x85R.",
    "nested name": b"\x80\x04\x8c\x07pathlib\x8c\x10PosixPath.unlink\x93.",
    "torch loads again": b"\x80\x02ctorch.storage\n_load_from_bytes\nC\x01a\x85R.",
    "extension": b"\x80\x02\x82\x01.",
    "behind a harmless one": pickle.dumps({"a": 1}) + REDUCED,
    "before garbage": REDUCED + b"\xff\xff\xff",
    "numpy loads a file": b"\x80\x02cnumpy\nload\nX\x01\x00\x00\x00a\x85R.",
    "socket": b"\x80\x02csocket\nsocket\n)R.",
    "partial": b"\x80\x02cfunctools\npartial\ncos\nsystem\n\x85R.",
    "without an end": REDUCED[:-1],
}


def scanned(path: Path) -> PickleScan:
    found, _ = scan(path)
    assert found is not None
    return found


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def zipped(**members: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return made.getvalue()


@pytest.mark.parametrize("kind", MALICIOUS)
def test_what_would_run_code_is_dangerous_wherever_it_hides(kind: str, tmp_path: Path) -> None:
    content = MALICIOUS[kind]
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        entry = tarfile.TarInfo("inner.bin")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    hidden = {
        "model.pkl": content,
        "model.onnx": content,
        "model.pt": zipped(archive__data__pkl=b"", **{"archive__data.pkl": content, "archive__version": b"3"}),
        "model.zip": zipped(**{"deep.zip": zipped(**{"weights.pkl": content})}),
        "model.tar": tar.getvalue(),
        "model.joblib": zlib.compress(content),
        "model.gz": gzip.compress(content),
        "model.npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", 20) + b"{'descr': '|O'}     " + content,
    }
    for name, body in hidden.items():
        found = scanned(written(tmp_path, name, body))
        assert found.verdict == SCAN_VERDICT_DANGEROUS, (name, found)
    assert not (tmp_path / "PWNED").exists()


def test_no_malicious_pickle_was_ever_loaded() -> None:
    assert not Path("PWNED").exists()


def test_arrays_of_numpy_are_clean_in_every_protocol(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    value = {"rows": np.random.default_rng(1).normal(size=(60, 3)), "one": np.float32(1), "names": np.array(["a"])}
    for protocol in range(6):
        path = written(tmp_path, "model.pkl", pickle.dumps(value, protocol=protocol))
        found = scanned(path)
        assert found.verdict == SCAN_VERDICT_CLEAN, found
        assert detect(path) == "pickle"
    assert {"pickletools", "picklescan"} <= {one.name for one in found.scanners}
    assert ("numpy", "dtype") in {(one.module, one.name) for one in found.globals}


@pytest.mark.long
def test_models_of_sklearn_are_clean(tmp_path: Path) -> None:
    np, ensemble = pytest.importorskip("numpy"), pytest.importorskip("sklearn.ensemble")
    rows = np.random.default_rng(1).normal(size=(60, 3))
    for kind in (ensemble.RandomForestClassifier, ensemble.HistGradientBoostingClassifier):
        model = kind(random_state=1).fit(rows, rows[:, 0] > 0)
        for protocol in (2, 5):
            found = scanned(written(tmp_path, "model.pkl", pickle.dumps(model, protocol=protocol)))
            assert found.verdict == SCAN_VERDICT_CLEAN, found


def test_an_unknown_class_is_unlisted(tmp_path: Path) -> None:
    found = scanned(written(tmp_path, "a.pkl", b"\x80\x02crisk.models\nTree\n)R."))
    assert (found.verdict, found.globals[0].rating) == (SCAN_VERDICT_UNLISTED, UNLISTED)


def test_ratings_are_an_allowlist() -> None:
    for module, name in (("numpy", "dtype"), ("__builtin__", "set"), ("sklearn.tree._tree", "Tree"), ("torch", "Size")):
        assert rate(module, name) == LISTED, (module, name)
    for module, name in (
        ("os", "system"), ("nt", "system"), ("subprocess", "Popen"), ("builtins", "exec"), ("sys", "modules"),
        ("torch.hub", "load"), ("numpy.testing._private.utils", "runstring"), ("?", "?"), ("runpy", "run_path"),
        ("sklearn.datasets", "fetch_openml"), ("operator", "attrgetter"), ("types", "FunctionType"), ("__main__", "A"),
    ):  # fmt: skip
        assert rate(module, name) != LISTED, (module, name)
    assert rate("os", "system") == rate("nt", "system") == rate("builtins", "exec") == DANGEROUS
    assert rate("numpy", "ndarray.tofile") != LISTED
    assert rate("numpy\n", "dtype") != LISTED
    assert permits(["a.b.*"], "a.b", "C")
    assert not permits(["a.b.*"], "a.b.c", "C")


HOSTILE = {
    "a length beyond the file": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62),
    "a text of a gigabyte": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 30) + b"x",
    "more taken than there is": b"\x80\x02RRRRR.",
    "a memo that nobody filled": b"\x80\x02h\x07.",
    "a line without an end": b"c" + b"x" * (3 << 20),
    "pops without a mark": b"\x80\x02tN.",
    "nothing behind the protocol": b"\x80\x04",
    "an integer of a million digits": b"I" + b"9" * 1_000_000 + b"\n.",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_cannot_be_read_is_incomplete_and_costs_little(kind: str, tmp_path: Path) -> None:
    path = written(tmp_path, "a.pkl", HOSTILE[kind])
    began = time.process_time()
    assert scanned(path).verdict == SCAN_VERDICT_INCOMPLETE
    assert time.process_time() - began < 5.0


def test_limits_end_what_would_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelog.artifacts.pickles.MOST_OPCODES", 10_000)
    endless = written(tmp_path, "endless.pkl", b"\x80\x02" + b"N0" * 10_000 + b"N.")
    assert "more than 10000 opcodes" in scanned(endless).detail
    many = b"\x80\x02" + b"".join(b"crisk\nM%d\n0" % n for n in range(300)) + b"N."
    assert "different globals" in scanned(written(tmp_path, "many.pkl", many)).detail
    monkeypatch.setattr(scan_module, "_MOST_UNPACKED_BYTES", 1 << 20)
    bomb = zipped(**{"a.pkl": b"\0" * (8 << 20)})
    assert len(bomb) < 1 << 17
    found = scanned(written(tmp_path, "bomb.zip", bomb))
    assert (found.verdict, "bytes unpacked" in found.detail) == (SCAN_VERDICT_INCOMPLETE, True)
    found = scanned(written(tmp_path, "bomb.joblib", zlib.compress(b"\0" * (8 << 20))))
    assert found.verdict == SCAN_VERDICT_INCOMPLETE
    deep = pickle.dumps([1])
    for _ in range(7):
        deep = zipped(**{"a.zip": deep})
    assert scanned(written(tmp_path, "deep.zip", deep)).verdict == SCAN_VERDICT_INCOMPLETE
    monkeypatch.setattr(scan_module, "_MOST_MEMBERS", 20)
    crowded = zipped(**{f"{n}.txt": b"x" for n in range(30)})
    assert "members" in scanned(written(tmp_path, "crowded.zip", crowded)).detail


def test_a_pickle_in_front_of_an_archive_is_seen(tmp_path: Path) -> None:
    both = REDUCED + zipped(**{"schema.json": b"{}"})
    assert scanned(written(tmp_path, "model.skops", both)).verdict == SCAN_VERDICT_DANGEROUS


def test_large_arrays_are_passed_over_and_not_held(tmp_path: Path) -> None:
    content = pickle.dumps([bytes(40 << 20), bytearray(2 << 20)], protocol=5)
    listing = Listing()
    began = time.process_time()
    list_one(io.BytesIO(content), len(content), listing)
    assert (listing.pickles, listing.globals) == (1, {})
    assert time.process_time() - began < 1.0


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(sorted(MALICIOUS)), st.integers(0, 60))
def test_whatever_is_changed_in_a_pickle_is_listed_or_refused_and_never_fails(noise: bytes, kind: str, at: int) -> None:
    content = MALICIOUS[kind][:at] + noise + MALICIOUS[kind][at:]
    try:
        list_one(io.BytesIO(content), len(content), Listing())
    except Unreadable:
        return


def test_the_globals_of_all_protocols_are_those_that_the_disassembler_prints() -> None:
    """An oracle: up to protocol 3 globals stand in the opcodes as text; later ones put the same names on the stack."""
    generator = random.Random(7)
    for _ in range(30):
        classes = generator.sample([io.BytesIO, ValueError, Path, collections.OrderedDict, struct.Struct], 3)
        value = [{str(n): (n, "x", None, [n], classes)} for n in range(generator.randint(1, 9))]
        told = io.StringIO()
        pickletools.dis(pickle.dumps(value, 3), told)
        named = {(module, name) for module, name in re.findall(r"GLOBAL\s+'(\S+) (\S+)'", told.getvalue())}
        for protocol in (3, 4, 5):
            content, listing = pickle.dumps(value, protocol), Listing()
            list_one(io.BytesIO(content), len(content), listing)
            assert set(listing.globals) == named


def onnx_of(tmp_path: Path) -> Path:
    onnx = pytest.importorskip("onnx")
    tensor = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 2])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 2])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [tensor], [out])
    return written(tmp_path, "model.bin", onnx.helper.make_model(graph).SerializeToString())


def test_formats_are_told_by_content(tmp_path: Path) -> None:
    table = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    array = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }".ljust(128) + bytes(8)
    known = {
        "safetensors": struct.pack("<Q", len(table)) + table + b"\0\0\0\0",
        "gguf": b"GGUF\x03\0\0\0",
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(64),
        "json": b'{"a": 1}',
        "xgboost": b'{"learner": {}}',
        "skops": zipped(**{"schema.json": b"{}"}),
        "keras": zipped(**{"metadata.json": b"{}", "config.json": b"{}", "model.weights.h5": b"x"}),
        "npz": zipped(**{"a.npy": array}),
        "torch": zipped(**{"a__data.pkl": pickle.dumps(1), "a__data__0": b"x"}),
        "zip": zipped(**{"readme.txt": b"x"}),
        "npy": array,
        "pickle": pickle.dumps([1, 2]),
        "joblib": b"\x80\x04\x8c\x13joblib.numpy_pickle\x8c\x11NumpyArrayWrapper\x93)\x81}b\x01raw",
        "pmml": b"<?xml version='1.0'?><PMML/>",
        "tflite": b"\x1c\0\0\0TFL3",
        "lightgbm": b"tree\nversion=v4\n",
        "tree": b"weights",
    }
    for name, content in known.items():
        assert detect(written(tmp_path, "model.tree", content)) == name
    assert detect(onnx_of(tmp_path)) == "onnx"
    assert detect(written(tmp_path, "noname", b"weights")) == "binary"
    broken = onnx_of(tmp_path).read_bytes()[:-1]
    assert detect(written(tmp_path, "cut.bin", broken)) == "bin"


def test_text_that_begins_like_a_pickle_is_text(tmp_path: Path) -> None:
    for text in (
        "customer,amount\n1,2\n",
        "class\nname\nlabel\n",
        "c\nd\n",
        "identity\nx\n",
        "N",
        ".",
        "",
        "col1\ncol2\n",
    ):
        assert detect(written(tmp_path, "rows.csv", text.encode())) == "csv", text
        assert scan(tmp_path / "rows.csv") == (None, [])


def test_a_pickle_is_not_passed_off_as_something_else(tmp_path: Path) -> None:
    path = written(tmp_path, "model.onnx", pickle.dumps([1]))
    with pytest.raises(ValueError, match="is pickle by its content, and not onnx"):
        describe_artifact(path, "u", artifact_format="onnx")
    artifact = describe_artifact(path, "u")
    assert (artifact.format, artifact.scan.sha256) == ("pickle", artifact.sha256)
    archive = written(tmp_path, "m.zip", zipped(**{"inner.zip": zipped(**{"a.pkl": pickle.dumps([1])})}))
    described: Any = describe_artifact(archive, "u")
    assert any(map(holds_pickles, described.contained_formats))


def test_a_folder_is_scanned_whole(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    written(folder, "config.json", b"{}")
    written(folder, "weights.bin", MALICIOUS["stack global"])
    artifact = describe_artifact(folder, "u")
    assert (artifact.scan.verdict, artifact.scan.sha256) == (SCAN_VERDICT_DANGEROUS, artifact.sha256)
    assert [one.format for one in artifact.files] == ["json", "pickle"]
