"""Small ONNX models: a good one, one that fails on every input, one that is slow."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, checker, external_data_helper, helper, numpy_helper

COLUMNS = ("age", "income", "debt")


def classifier(bias: float = 0.0) -> bytes:
    """Three numbers side by side in, `label` [n] and `probabilities` [n, 2] out."""
    weights = np.array([[1.0, -1.0], [0.5, -0.5], [-1.0, 1.0]], dtype=np.float32)
    nodes = [
        helper.make_node("Gemm", ["X", "W", "B"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    constants = {"W": weights, "B": np.array([bias, 0.0], dtype=np.float32)}
    return _model(nodes, constants, _label(), _probabilities())


def failing() -> bytes:
    """Loads, and fails on every input that is not a multiple of seven rows."""
    nodes = [
        helper.make_node("Reshape", ["X", "shape"], ["wide"]),
        helper.make_node("ArgMax", ["wide"], ["label"], axis=1, keepdims=0),
    ]
    return _model(nodes, {"shape": np.array([-1, 21], dtype=np.int64)}, _label())


def slow(rounds: int) -> bytes:
    """Counts to `rounds` before it answers, some seconds a million."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["total", "one"], ["total_next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("total", TensorProto.INT64, []),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("total_next", TensorProto.INT64, []),
        ],
    )
    nodes = [
        helper.make_node("Loop", ["rounds", "yes", "zero"], ["counted"], body=body),
        helper.make_node("ArgMax", ["X"], ["best"], axis=1, keepdims=0),
        helper.make_node("Min", ["best", "counted"], ["label"]),
    ]
    constants = {
        "rounds": np.array(rounds, dtype=np.int64),
        "yes": np.array(True),
        "zero": np.array(0, dtype=np.int64),
        "one": np.array(1, dtype=np.int64),
    }
    return _model(nodes, constants, _label())


def hungry(bytes_a_row: int) -> bytes:
    """Takes so much memory for each row of a request, and gives it back."""
    nodes = [
        helper.make_node("Shape", ["X"], ["rows"], start=0, end=1),
        helper.make_node("Mul", ["rows", "numbers"], ["size"]),
        helper.make_node("ConstantOfShape", ["size"], ["much"]),
        helper.make_node("ReduceMax", ["much"], ["nothing"], keepdims=0),
        helper.make_node("Cast", ["nothing"], ["zero"], to=TensorProto.INT64),
        helper.make_node("ArgMax", ["X"], ["best"], axis=1, keepdims=0),
        helper.make_node("Add", ["best", "zero"], ["label"]),
    ]
    return _model(nodes, {"numbers": np.array([bytes_a_row // 4], dtype=np.int64)}, _label())


def nonsense() -> bytes:
    """Answers a score that is no number, whatever it is asked."""
    nodes = [
        helper.make_node("ReduceSum", ["X", "axis"], ["sum"], keepdims=0),
        helper.make_node("Sub", ["sum", "sum"], ["zero"]),
        helper.make_node("Div", ["zero", "zero"], ["score"]),
    ]
    return _model(nodes, {"axis": np.array([1], dtype=np.int64)}, _score())


def logarithm() -> bytes:
    """Answers the logarithm of a row's sum: not finite for a row of zeros, and rightly so."""
    nodes = [
        helper.make_node("ReduceSum", ["X", "axis"], ["sum"], keepdims=0),
        helper.make_node("Log", ["sum"], ["score"]),
    ]
    return _model(nodes, {"axis": np.array([1], dtype=np.int64)}, _score())


def relative() -> bytes:
    """Answers the share of each row in the sum of all rows, so rows cannot be answered apart."""
    nodes = [
        helper.make_node("ReduceSum", ["X", "axis"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["X"], ["all"], keepdims=0),
        helper.make_node("Div", ["sum", "all"], ["score"]),
    ]
    return _model(nodes, {"axis": np.array([1], dtype=np.int64)}, _score())


def one_line() -> bytes:
    """Answers a single number however many rows it is asked."""
    return _model([helper.make_node("ReduceSum", ["X"], ["score"], keepdims=0)], {}, _score(each=False))


def wordy() -> bytes:
    """Text in, the same text out."""
    given = helper.make_tensor_value_info("word", TensorProto.STRING, [None])
    same = helper.make_tensor_value_info("same", TensorProto.STRING, [None])
    graph = helper.make_graph([helper.make_node("Identity", ["word"], ["same"])], "words", [given], [same])
    return _bytes(graph)


def half() -> bytes:
    """Half precision in and out."""
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT16, [None])
    same = helper.make_tensor_value_info("same", TensorProto.FLOAT16, [None])
    return _bytes(helper.make_graph([helper.make_node("Identity", ["x"], ["same"])], "half", [given], [same]))


def weights_elsewhere(folder: Path) -> bytes:
    """Adds a bias that lies in a file `bias.bin` beside the model, which this writes into the folder."""
    bias = numpy_helper.from_array(np.array([5.0, 5.0, 5.0], dtype=np.float32), "bias")
    (folder / "bias.bin").write_bytes(bias.raw_data)
    given = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 3])
    total = helper.make_tensor_value_info("total", TensorProto.FLOAT, [None, 3])
    graph = helper.make_graph([helper.make_node("Add", ["X", "bias"], ["total"])], "m", [given], [total], [bias])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (outside,) = model.graph.initializer
    external_data_helper.set_external_data(outside, "bias.bin")
    outside.ClearField("raw_data")
    content: bytes = model.SerializeToString()
    return content


def dense(width: int, layers: int) -> bytes:
    """A small network with some work to do: X [n, width] through so many layers of that width, `score` [n, width]."""
    rng = np.random.default_rng(1)
    weights = [rng.normal(0, 0.05, (width, width)).astype(np.float32) for _ in range(layers)]
    constants = [numpy_helper.from_array(one, f"w{index}") for index, one in enumerate(weights)]
    nodes, at = [], "X"
    for index in range(layers):
        after = "score" if index == layers - 1 else f"h{index}"
        nodes.append(helper.make_node("MatMul", [at, f"w{index}"], [f"m{index}"]))
        nodes.append(helper.make_node("Relu", [f"m{index}"], [after]))
        at = after
    given = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, width])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, width])
    return _bytes(helper.make_graph(nodes, "dense", [given], [score], constants))


def per_column() -> bytes:
    """Every column an input of its own; `total` [n, 1] out."""
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in COLUMNS]
    total = helper.make_tensor_value_info("total", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph([helper.make_node("Sum", list(COLUMNS), ["total"])], "sum", inputs, [total])
    return _bytes(graph)


def store(folder: Path, content: bytes) -> tuple[str, str]:
    """Puts an artifact into a content-addressed store: (uri, sha256)."""
    digest = hashlib.sha256(content).hexdigest()
    path = folder / "sha256" / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return f"cas:sha256/{digest}", digest


def request(rows: list[list[float]], request_id: str = "") -> dict[str, Any]:
    """One tensor for all columns."""
    flat = [value for row in rows for value in row]
    tensor = {"name": "X", "shape": [len(rows), len(rows[0])], "datatype": "FP32", "data": flat}
    return {"inputs": [tensor]} | ({"id": request_id} if request_id else {})


def _score(*, each: bool = True) -> Any:
    return helper.make_tensor_value_info("score", TensorProto.FLOAT, [None] if each else [])


def _label() -> Any:
    return helper.make_tensor_value_info("label", TensorProto.INT64, [None])


def _probabilities() -> Any:
    return helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])


def _model(nodes: list[Any], constants: dict[str, Any], *outputs: Any) -> bytes:
    given = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, len(COLUMNS)])
    values = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    return _bytes(helper.make_graph(nodes, "model", [given], list(outputs), values))


def _bytes(graph: Any) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
