"""Views are what this build's fold makes of the log: folded again when the fold has changed, kept when nothing has."""

import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nats as nats_py
import pytest
from nats.js.api import DiscardPolicy

from kernel.fingerprint import fingerprint
from modelog.log.v1.fact_pb2 import Fact
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import service
from tests.kernel.test_service import Toys
from tests.kernel.toy import TOY, TOYS

PARENT, NAME = "projects/p", "projects/p/toys/ball"


def shouting(state: Any, event: Any, envelope: Fact) -> None:
    """Another fold of the same facts."""
    TOY.evolve(state, event, envelope)
    state.label = state.label.upper()


LOUD = replace(TOYS, kinds=(replace(TOY, evolve=shouting), *TOYS.kinds[1:]))


def source(folder: Path, text: str) -> Callable[..., Any]:
    """The function `evolve` of a module of that text."""
    path = folder / f"fold{len(list(folder.iterdir()))}.py"
    path.write_text(text)
    module = types.ModuleType("services.toy.fold")
    exec(compile(text, str(path), "exec"), module.__dict__)
    evolve: Callable[..., Any] = module.__dict__["evolve"]
    return evolve


FOLD = """
def evolve(state, event, envelope):
    match event:
        case _:
            helper(state)

def helper(state):
    state.total = 1

def verb(state):
    return None
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("", "", True),
        ("return None", "return 7", True),  # A verb is no part of the fold.
        ("state.total = 1", "state.total = 2", False),  # What evolve calls is.
        ("match event:", "match envelope:", False),
    ],
)
def test_the_fingerprint_is_that_of_the_fold_and_what_it_calls(tmp_path: Path, old: str, new: str, same: bool) -> None:
    changed = FOLD.replace(old, new) if old else FOLD
    assert (fingerprint([source(tmp_path, FOLD)]) == fingerprint([source(tmp_path, changed)])) == same


async def test_another_fold_folds_the_views_again_and_the_same_one_does_not(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with service(TOYS, nats, postgres, tmp_path, schema=schema) as live:
        await Toys(live).MakeToy(parent=PARENT, toy_id="ball", label="red")
        await live.rooms.resources.catch_up()
    for blueprint, label, dropped in ((LOUD, "RED", 1), (LOUD, "RED", 0), (TOYS, "red", 1)):
        capsys.readouterr()
        async with service(blueprint, nats, postgres, tmp_path, schema=schema) as live:
            await live.rooms.resources.catch_up()
            assert (await live.rooms.resources.load(TOY, NAME)).label == label
        assert capsys.readouterr().out.count("views_dropped") == dropped


async def test_views_are_kept_when_the_log_could_not_give_all_of_them_back(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    async with service(TOYS, nats, postgres, tmp_path, schema=schema) as live:
        await Toys(live).MakeToy(parent=PARENT, toy_id="ball", label="red")
        await live.rooms.resources.catch_up()
    client = await nats_py.connect(nats.url)
    stream = client.jetstream()
    configuration = (await stream.stream_info("LIFECYCLE")).config
    await stream.publish("lifecycle.registry.p.toys.kite", b"the last one")
    configuration.discard, configuration.max_msgs = DiscardPolicy.OLD, 1  # What an administrator can do to history.
    await stream.update_stream(configuration)
    await client.close()
    with pytest.raises(SystemExit, match="the log is not whole"):
        async with service(LOUD, nats, postgres, tmp_path, schema=schema):
            pass
    async with service(TOYS, nats, postgres, tmp_path, schema=schema) as live:
        assert (await live.rooms.resources.load(TOY, NAME)).label == "red"
