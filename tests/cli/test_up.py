"""`modelog up` and `modelog demo`."""

import json
import os
import signal
import stat

import pytest

from modelog.cli.failures import DENIED, FAILED
from suite.issuer import person
from suite.suite import Suite
from tests.cli.line import CommandLine

BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name == "suite":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
"""


@pytest.mark.timeout(180)
def test_up_runs_until_it_is_interrupted(alone: CommandLine) -> None:
    process = alone.start("--json", "up")
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    assert set(told["services"]) == {"registry", "deployment", "monitoring", "archive"}
    alone("projects", "create", "risk")
    assert alone.json("whoami")["principal"] == {"id": person(), "authMethod": "oidc"}
    told = alone.json("whoami", "--as", "users/ada")
    assert told["principal"]["id"] == "users/ada"
    refused = alone("--as", "users/ada", "projects", "create", "rusk", expect=DENIED)
    assert "users/ada holds no role" in refused.err
    acting = alone("token", "--for", "serviceaccounts/ci", "--on-behalf-of", "users/ada").out.strip()
    (alone.folder / "token").write_text(acting)
    by_file = json.loads(alone.run("--json", "whoami", MODELOG_TOKEN_FILE=str(alone.folder / "token")).out)
    assert by_file["principal"]["id"] == "serviceaccounts/ci"
    assert [one["id"] for one in by_file["onBehalfOf"]] == ["users/ada"]
    issuer = alone.folder / ".modelog" / "issuer"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (issuer, issuer / "key.pem")] == [0o700, 0o400]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "registry: stopped" in err
    assert "Traceback" not in err
    assert not (alone.folder / ".modelog" / "suite.json").exists()


def test_a_start_is_interrupted_too(alone: CommandLine) -> None:
    process = alone.start("up")
    assert process.stderr is not None
    assert process.stderr.readline() == "nats: started\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (0, False)


def test_a_second_suite_in_the_same_folder_is_refused(line: CommandLine, suite: Suite) -> None:
    told = line("up", expect=FAILED).err
    assert f"is in use by process {os.getpid()}" in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("command", ["up", "demo"])
def test_without_the_servers_it_is_said_what_to_install(alone: CommandLine, command: str) -> None:
    done = alone.run(command, code=BLOCKED)
    assert done.status == FAILED
    assert "pip install 'modelog[server," in done.err
    assert "embedded" in done.err
    assert len(done.err.splitlines()) == 1
