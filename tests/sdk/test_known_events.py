"""Events are known by name, whichever file of a service's protos declares them and whoever has loaded it."""

import subprocess
import sys

import pytest

from modelog.known_events import descriptor_of
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1.declare_events_pb2 import AliasRolledBack
from modelog.sdk import event_of

_CODE = """
import sys
from {module} import event_of
from modelog.log.v1.fact_pb2 import Fact

event = event_of(Fact.FromString(bytes.fromhex(sys.argv[1])))
print(type(event).__name__, event.alias)
"""


@pytest.mark.parametrize("module", ["modelog.sdk.facts", "kernel.fold"])
def test_an_event_of_a_file_that_nobody_has_loaded_is_read(module: str) -> None:
    fact = Fact()
    fact.event.Pack(AliasRolledBack(alias="champion"))
    command = [sys.executable, "-c", _CODE.format(module=module), fact.SerializeToString().hex()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "AliasRolledBack champion\n"


@pytest.mark.parametrize(
    "name",
    [
        "modelog.registry.v1.Nothing",
        "modelog.registry.v1.Version",
        "modelog.nothing.v1.X",
        "modelog.registry.v2.X",
        "os.path.X",
        "modelog.registry.v1.x.y",
        "",
    ],
)
def test_what_is_no_event_is_none(name: str) -> None:
    assert descriptor_of(name) is None
    fact = Fact()
    fact.event.type_url = f"type.googleapis.com/{name}"
    assert event_of(fact) is None
