"""Nothing is unpickled in a running service, and nothing is loaded into one that would."""

import subprocess
import sys

import pytest

from tests.house.floors import RUNS_CODE_OF_OTHERS, SERVICES

_UNPICKLE = """
import pickle
from kernel.guard import refuse_pickles
raw = pickle.dumps(print)
pickle.loads(raw)
refuse_pickles()
assert pickle.loads(pickle.dumps([1, "a", {"b": 2.0}])) == [1, "a", {"b": 2.0}]
try:
    pickle.loads(raw)
except PermissionError as error:
    raise SystemExit(f"refused: {error}")
"""
# The interpreter has one of these built in, and numpy imports the other.
_BY_OTHERS = {"marshal", "pickle"}


def told(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def test_a_pickle_that_names_anything_is_refused() -> None:
    assert told(_UNPICKLE).startswith("refused: a pickle asked for ('builtins', 'print')")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_loads_nothing_that_runs_code_of_others(service: str) -> None:
    loaded = told(f"import sys, services.{service}.__main__; print(*{{one.partition('.')[0] for one in sys.modules}})")
    assert "kernel" in loaded.split()
    assert (RUNS_CODE_OF_OTHERS & set(loaded.split())) - _BY_OTHERS == set()
    assert not {"sklearn", "skl2onnx"} & set(loaded.split())
