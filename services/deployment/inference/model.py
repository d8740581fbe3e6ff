"""The model: verified, loaded and run. Nothing but ONNX is ever opened, for reading other formats can run code."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from services.deployment.inference import trial
from services.deployment.inference.order import ArtifactRefused, Column, Order

_CHUNK_BYTES = 1 << 20
# ONNX Runtime's names of element types, as numpy knows them. Text is an array of objects for the runtime.
_NUMPY = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int16)": np.int16,
    "tensor(int8)": np.int8,
    "tensor(uint64)": np.uint64,
    "tensor(uint32)": np.uint32,
    "tensor(uint16)": np.uint16,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}


class ModelRefused(Exception):
    """The artifact is the approved one, but cannot be served: it does not load, or does not fit its signature."""


class BadInput(Exception):
    """The request does not fit the model: the caller's fault."""


class Model:
    """One ONNX model with the columns of its signature.

    Columns meet the model in one of two ways, decided at load: every column is an input of that name, or the model has
    a single input and takes the columns side by side, in the order of the signature.
    """

    def __init__(self, session: Any, inputs: Sequence[Column], outputs: Sequence[Column]) -> None:
        self._session = session
        self._types = {one.name: _numpy_type(one.name, one.type) for one in session.get_inputs()}
        self.tensor_inputs = [(one.name, one.type, one.shape) for one in session.get_inputs()]
        self.tensor_outputs = [(one.name, one.type, one.shape) for one in session.get_outputs()]
        for name, kind, _ in self.tensor_outputs:
            _numpy_type(name, kind)
        self.columns = tuple(inputs) or tuple(Column(name, datatype_of(kind)) for name, kind, _ in self.tensor_inputs)
        self.output_names = [name for name, _, _ in self.tensor_outputs]
        self._side_by_side = self._fits([column.name for column in self.columns])
        # Why requests must not run together; told by a trial.
        self.alone = "not tried"
        missing = [one.name for one in outputs if one.name not in self.output_names]
        if missing:
            raise ModelRefused(f"the model answers {self.output_names}, but its signature promises {missing}")

    def _fits(self, names: Sequence[str]) -> bool:
        """Whether the columns lie side by side in one input; ModelRefused when they do not fit at all."""
        if set(names) == set(self._types):
            return False
        if len(self._types) != 1:
            raise ModelRefused(f"the model takes {sorted(self._types)}, which are not the columns of its signature")
        _, _, shape = self.tensor_inputs[0]
        width = shape[1] if len(shape) == 2 else None
        if isinstance(width, int) and width != len(names):
            raise ModelRefused(f"the model takes rows of {width} numbers, but its signature has {len(names)} columns")
        return True

    def feed(self, tensors: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
        """What the session takes, and the columns as (name, array of n) for telemetry. BadInput names what is wrong.

        tensors: arrays by name as the request sent them: one per column, of shape [n] or [n, 1], or one for all
        columns, of shape [n, k] in the order of the signature, under any name. A single input takes any name as well.
        """
        names = [column.name for column in self.columns]
        if len(tensors) == 1 and len(names) == 1 and not self._side_by_side:
            tensors = dict(zip(names, tensors.values(), strict=True))
        if len(tensors) == 1 and (len(names) > 1 or next(iter(tensors)) not in names):
            (given,) = tensors.values()
            if given.ndim != 2 or given.shape[1] != len(names):
                raise BadInput(f"one tensor for all columns has shape [n, {len(names)}], not {list(given.shape)}")
            columns = [(name, given[:, index]) for index, name in enumerate(names)]
            if self._side_by_side:
                return {self.tensor_inputs[0][0]: self._cast(self.tensor_inputs[0][0], given)}, columns
        else:
            columns = self._by_name(names, tensors)
        rows = columns[0][1].shape[0]
        if not self._side_by_side:
            return {name: self._shaped(name, values) for name, values in columns}, flat(columns, rows)
        wrong = [name for name, values in columns if values.size != rows]
        if wrong:
            raise BadInput(f"inputs {wrong} are single columns: their shape is [n] or [n, 1]")
        columns = flat(columns, rows)
        (name, _, _), *_ = self.tensor_inputs
        return {name: np.stack([self._cast(name, values) for _, values in columns], axis=1)}, columns

    def _by_name(self, names: Sequence[str], tensors: Mapping[str, Any]) -> list[tuple[str, Any]]:
        missing = [name for name in names if name not in tensors]
        unknown = [name for name in tensors if name not in names]
        if missing or unknown:
            raise BadInput(f"inputs missing: {missing}, inputs unknown: {unknown}; the model takes {names}")
        rows = {tensors[name].shape[0] if tensors[name].ndim else 0 for name in names}
        if len(rows) != 1:
            raise BadInput(f"inputs have different numbers of rows: {sorted(rows)}")
        return [(name, tensors[name]) for name in names]

    def _shaped(self, name: str, values: Any) -> Any:
        """The values in the shape the model declares for this input: a column of [n] also fits [n, 1]."""
        shape = next(shape for one, _, shape in self.tensor_inputs if one == name)
        cast = self._cast(name, values)
        if len(shape) == 2 and cast.ndim == 1:
            return cast.reshape(-1, 1)
        if len(shape) == 1 and cast.ndim == 2 and cast.shape[1] == 1:
            return cast.reshape(-1)
        return cast

    def _cast(self, name: str, values: Any) -> Any:
        try:
            return np.ascontiguousarray(values, dtype=self._types[name])
        except (ValueError, TypeError, OverflowError) as error:
            raise BadInput(f"input {name} cannot be read as {self._types[name].__name__}: {error}") from error

    def dtype(self, name: str) -> Any:
        """What an input's elements are for numpy."""
        return self._types[name]

    def try_run(self, feed: Mapping[str, Any], options: Any) -> list[Any]:
        """As `run`, until the options say that it shall end."""
        answer: list[Any] = self._session.run(self.output_names, dict(feed), options)
        return answer

    def run(self, feed: Mapping[str, Any]) -> list[Any]:
        """Arrays in the order of output_names. Whatever the model raises passes through: it is the model's fault."""
        answer: list[Any] = self._session.run(self.output_names, dict(feed))
        return answer


def load(order: Order) -> Model:
    """The model of an order, tried. ArtifactRefused when the bytes are not the approved ones, ModelRefused when it is

    not to be used: it does not load, does not fit its signature, or answers nonsense.
    """
    if order.format.lower() != "onnx":
        raise ArtifactRefused(f"format {order.format!r} is not served: export the model to ONNX")
    content = verified(Path(order.artifact), order.sha256)
    options = ort.SessionOptions()
    options.intra_op_num_threads = order.threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # Threads that spin while they wait would take the cores from other replicas.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # The runtime raises many kinds for what is one thing: this model cannot be loaded.
        raise ModelRefused(f"ONNX Runtime cannot load the model: {error}") from error
    model = Model(session, order.inputs, order.outputs)
    try:
        tried = trial.attempt(model, order.outputs, columns=len(model.columns), lines=bool(order.inputs))
    except trial.Nonsense as nonsense:
        raise ModelRefused(f"the model answers nonsense: {nonsense}") from nonsense
    model.alone = tried.alone
    return model


def verified(path: Path, sha256: str) -> bytes:
    """The bytes of a file, read once and loaded from memory, so that what was verified is what runs."""
    digest, parts = hashlib.sha256(), []
    try:
        with path.open("rb") as file:
            while part := file.read(_CHUNK_BYTES):
                digest.update(part)
                parts.append(part)
    except OSError as error:
        raise ArtifactRefused(f"the artifact cannot be read: {error.strerror}") from error
    if digest.hexdigest() != sha256:
        raise ArtifactRefused(f"the artifact has digest {digest.hexdigest()}, but {sha256} was approved")
    return b"".join(parts)


def datatype_of(kind: str) -> str:
    """The protocol's name of an ONNX Runtime element type."""
    dtype = np.dtype(_NUMPY.get(kind, np.object_))
    if dtype.kind == "O":
        return "BYTES"
    if dtype.kind == "b":
        return "BOOL"
    return f"{ {'f': 'FP', 'i': 'INT', 'u': 'UINT'}[dtype.kind] }{dtype.itemsize * 8}"


def _numpy_type(name: str, kind: str) -> Any:
    if kind not in _NUMPY:
        raise ModelRefused(f"{name} is a {kind}, but only tensors are served (skl2onnx: export with zipmap=False)")
    return _NUMPY[kind]


def flat(named: Iterable[tuple[str, Any]], rows: int) -> list[tuple[str, Any]]:
    """Arrays as columns of one value a row: [n] and [n, 1] keep their name, column j of [n, k] is `<name>_<j>`.

    Arrays that do not have one line a row are left out.
    """
    columns = []
    for name, array in named:
        if array.ndim == 0 or array.shape[0] != rows:
            continue
        lines = np.reshape(array, (rows, array.size // rows if rows else 1))
        if lines.shape[1] == 1:
            columns.append((name, lines[:, 0]))
        else:
            columns.extend((f"{name}_{index}", lines[:, index]) for index in range(lines.shape[1]))
    return columns
