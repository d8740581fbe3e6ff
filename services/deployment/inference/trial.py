"""A first run before anybody is answered: does the model make sense, and may its requests run together?

Versions carry no examples, so the inputs are made up from what the model declares: zeros, ones, and fractions of one.
A model may rightly fail on such input (an index out of range, an unknown word), so failing refuses nothing. What no
honest model does is refused: numbers that are not finite whatever is asked, or answers that do not fit the signature.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort

from services.deployment.inference.order import Column

_SECONDS = 2.0
_ROWS = 3
_SEED = 7
# Together and alone a row may differ by how sums are ordered, and by no more.
_RELATIVE, _ABSOLUTE = 1e-3, 1e-4


class Nonsense(Exception):
    """What is wrong with the answers."""


class Tried(Protocol):
    """A model as far as it is tried here."""

    @property
    def tensor_inputs(self) -> Sequence[tuple[str, str, Sequence[Any]]]: ...

    @property
    def output_names(self) -> Sequence[str]: ...

    def dtype(self, name: str) -> Any: ...

    def try_run(self, feed: Mapping[str, Any], options: Any) -> list[Any]: ...


@dataclass(frozen=True)
class Trial:
    """What was found. alone: why requests must not run together; empty when they may."""

    alone: str = ""


def attempt(model: Tried, promised: Sequence[Column], *, columns: int, lines: bool) -> Trial:
    """Runs the model for at most two seconds; Nonsense when it cannot be served.

    columns: how many lie side by side in an input whose width the model leaves open. lines: whether the signature is of
    columns, so that there is one line in the answer for each row.
    """
    deadline = time.monotonic() + _SECONDS
    broken: list[set[str]] = []
    failures: list[str] = []
    rows = _ROWS if _is_open(model) else _fixed(model)
    for fill in _fills():
        feed = _feed(model, rows or 1, columns, fill)
        try:
            arrays = _run(model, feed, deadline)
        except Exception as error:  # Made-up input may not suit it; no reason to refuse.
            failures.append(str(error))
            continue
        named = dict(zip(model.output_names, arrays, strict=True))
        _fits(named, promised, rows=rows if lines else None)
        broken.append({name for name, array in named.items() if not _finite(array)})
    if len(broken) > 1 and (always := set.intersection(*broken)):
        raise Nonsense(f"output {sorted(always)[0]} is not a finite number on any of {len(broken)} inputs tried")
    if failures and not broken:
        return Trial(f"it fails on made-up input: {failures[0][:200]}")
    if not _is_open(model):
        return Trial("its inputs have a fixed number of rows")
    return Trial(_why_alone(model, columns, deadline))


def _is_open(model: Tried) -> bool:
    return all(shape and not isinstance(shape[0], int) for _, _, shape in model.tensor_inputs)


def _fixed(model: Tried) -> int | None:
    """How many rows it takes at a time, where all inputs say the same; None where they do not."""
    sizes = {shape[0] if shape else 1 for _, _, shape in model.tensor_inputs}
    (size, *others) = sizes
    return int(size) if not others and isinstance(size, int) else None


def _fills() -> Iterator[Callable[[tuple[int, ...]], Any]]:
    yield np.zeros
    yield np.ones
    yield np.random.default_rng(_SEED).random


def _feed(model: Tried, rows: int, columns: int, fill: Callable[[tuple[int, ...]], Any]) -> dict[str, Any]:
    feed = {}
    for name, _, shape in model.tensor_inputs:
        sizes = [size if isinstance(size, int) and size > 0 else 1 for size in shape]
        if shape and not isinstance(shape[0], int):
            sizes[0] = rows
        if len(shape) == 2 and not isinstance(shape[1], int):
            sizes[1] = columns
        dtype = np.dtype(model.dtype(name))
        values = fill(tuple(sizes))
        feed[name] = np.full(sizes, "a", dtype=object) if dtype.kind == "O" else values.astype(dtype)
    return feed


def _run(model: Tried, feed: Mapping[str, Any], deadline: float) -> list[Any]:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    options = ort.RunOptions()
    timer = threading.Timer(left, setattr, (options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        return model.try_run(feed, options)
    finally:
        timer.cancel()


def _fits(named: Mapping[str, Any], promised: Sequence[Column], *, rows: int | None) -> None:
    for column in promised:
        array = named[column.name]
        if (column.datatype == "BYTES") != (array.dtype.kind == "O"):
            raise Nonsense(f"output {column.name} is promised as {column.datatype}, the model answers {array.dtype}")
        if rows is not None and (not array.ndim or array.shape[0] != rows):
            raise Nonsense(f"output {column.name} has shape {list(array.shape)} for {rows} rows")


def _finite(array: Any) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _why_alone(model: Tried, columns: int, deadline: float) -> str:
    """Whether each row is answered as if it had come alone: a first dimension may also be a step of time."""
    feed = _feed(model, _ROWS, columns, np.random.default_rng(_SEED).random)
    try:
        together = _run(model, feed, deadline)
        for row in range(_ROWS):
            alone = _run(model, {name: array[row : row + 1] for name, array in feed.items()}, deadline)
            for name, all_rows, one_row in zip(model.output_names, together, alone, strict=True):
                if all_rows.shape[:1] != (_ROWS,) or not _alike(all_rows[row : row + 1], one_row):
                    return f"output {name} of a row depends on the rows beside it"
    except Exception as error:
        return f"it could not be tried: {str(error)[:200] or 'it takes too long'}"
    return ""


def _alike(one: Any, other: Any) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    return bool(np.allclose(one, other, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True))
