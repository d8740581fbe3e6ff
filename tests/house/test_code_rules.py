"""Each rule about the code fails where it should, and only there: a rule that cannot fail proves nothing."""

from pathlib import PurePosixPath

import pytest

from tests.house import code, floors
from tests.house.floors import Rule
from tests.house.tree import Module

LONG_FUNCTION = "def f() -> None:\n" + "    pass\n" * 50
REGISTRY = "services/registry/servicer.py"
DOMAIN = "services/registry/domain.py"

BROKEN = [
    (floors.services_meet_only_on_the_log, REGISTRY, "import services.archive.domain"),
    (floors.services_meet_only_on_the_log, REGISTRY, "from services import archive"),
    (floors.services_meet_only_on_the_log, REGISTRY, "from ..archive import domain"),
    (floors.services_meet_only_on_the_log, REGISTRY, "from modelog.archive.v1 import archive_service_pb2_grpc"),
    (floors.kernel_names_no_service, "libs/kernel/rpc.py", "from modelog.registry.v1 import events_pb2"),
    (floors.kernel_names_no_service, "libs/kernel/rpc.py", "def f():\n    import services.registry"),
    (floors.floors_hold, "libs/kernel/rpc.py", "from testkit import scenario"),
    (floors.floors_hold, "services/registry/servicer.py", "import testkit"),
    (floors.floors_hold, "libs/modelog/sdk/client.py", "from kernel import errors"),
    (floors.pure_modules_are_pure, DOMAIN, "import time"),
    (floors.pure_modules_are_pure, "services/registry/domain/version.py", "from os import path"),
    (floors.pure_modules_are_pure, "services/registry/domain_checks.py", "from kernel.transact import Transact"),
    (floors.pure_modules_are_pure, DOMAIN, "from services.registry import queries"),
    (floors.pure_modules_are_pure, "libs/kernel/fold.py", "import asyncio"),
    (floors.logs_come_from_one_place, "libs/kernel/rpc.py", "import structlog"),
    (floors.client_needs_no_server, "libs/modelog/cli/main.py", "import suite.embedded"),
    (floors.client_needs_no_server, "libs/modelog/cli/evaluate.py", "import numpy"),
    (floors.client_needs_no_server, "libs/modelog/evaluate/scores.py", "import sklearn"),
    (
        floors.client_needs_no_server,
        "libs/modelog/sdk/client.py",
        "try:\n    import nats\nexcept ImportError:\n    pass",
    ),
    (floors.nothing_runs_code_of_others, "services/registry/scan.py", "import pickle"),
    (floors.nothing_runs_code_of_others, "libs/suite/train.py", "from joblib import load"),
    (floors.nothing_runs_code_of_others, REGISTRY, "import yaml"),
    (floors.nothing_runs_code_of_others, "libs/modelog/declare/x.py", "import yaml.constructor"),
    (floors.yaml_makes_no_objects, "libs/modelog/declare/x.py", "import yaml\nyaml.load(text, yaml.SafeLoader)"),
    (floors.yaml_makes_no_objects, "libs/modelog/declare/x.py", "import yaml\nyaml.compose(text, yaml.Loader)"),
    (floors.yaml_makes_no_objects, "libs/modelog/declare/x.py", "from yaml import unsafe_load"),
    (floors.yaml_makes_no_objects, "libs/modelog/declare/x.py", "import yaml as y"),
    (floors.nothing_is_evaluated, REGISTRY, "x = eval('1')"),
    (floors.nothing_is_evaluated, REGISTRY, "exec(text)"),
    (floors.nothing_is_evaluated, REGISTRY, "import numpy as np\nx = np.load(path, allow_pickle=True)"),
    (floors.nothing_is_evaluated, REGISTRY, "import subprocess\nsubprocess.run(x, shell=flag)"),
    (floors.nothing_is_evaluated, "libs/suite/process.py", "import os\nos.system(x)"),
    (floors.nothing_is_evaluated, "libs/suite/process.py", "import asyncio\nasyncio.create_subprocess_shell(x)"),
    (code.sql_has_its_rooms, REGISTRY, "x = 'select name from version'"),
    (code.sql_has_its_rooms, REGISTRY, "x = f'''\n  INSERT INTO {table} VALUES (1)'''"),
    (code.sql_has_its_rooms, "libs/kernel/rpc.py", "x = 'create table if not exists y (z int)'"),
    (code.environment_only_in_settings, REGISTRY, "import os\nx = os.environ['A']"),
    (code.environment_only_in_settings, "libs/kernel/rpc.py", "import os\nx = os.getenv('A')"),
    (code.environment_only_in_settings, "libs/modelog/cli/main.py", "from os import environ"),
    (code.environment_only_in_settings, "libs/suite/process.py", "import os\nx = os.environ.get('A')"),
    (code.environment_only_in_settings, "services/deployment/drivers/process.py", "import os\nx = os.environ['A']"),
    (code.pure_modules_read_no_clock, DOMAIN, "from datetime import datetime\nx = datetime.now()"),
    (code.pure_modules_read_no_clock, DOMAIN, "def f(stamp):\n    stamp.GetCurrentTime()"),
    (code.pure_modules_read_no_clock, DOMAIN, "x = open('y')"),
    (code.pure_modules_read_no_clock, DOMAIN, "async def f(): ..."),
    (code.kernel_spells_no_service, "libs/kernel/rpc.py", "x = 'registry'"),
    (code.kernel_spells_no_service, "libs/kernel/rpc.py", "x = 'modelog.registry.v1.VersionRegistered'"),
    (code.kernel_spells_no_service, "libs/kernel/rpc.py", "x = f'lifecycle.archive.{project}'"),
    (code.files_stay_small, REGISTRY, "x = 1\n" * 401),
    (code.functions_stay_small, REGISTRY, LONG_FUNCTION),
    (code.functions_stay_small, REGISTRY, "class A:\n    async " + LONG_FUNCTION.replace("\n", "\n    ").rstrip()),
]

KEPT = [
    (floors.services_meet_only_on_the_log, REGISTRY, "from modelog.archive.v1 import events_pb2, types_pb2"),
    (floors.services_meet_only_on_the_log, REGISTRY, "from services.registry import domain"),
    (floors.services_meet_only_on_the_log, REGISTRY, "from . import domain"),
    (
        floors.services_meet_only_on_the_log,
        "services/console/pages.py",
        "import modelog.archive.v1.archive_service_pb2",
    ),
    (floors.kernel_names_no_service, "libs/kernel/rpc.py", "from modelog.type.v1 import options_pb2"),
    (floors.floors_hold, "tests/registry/test_domain.py", "from testkit.scenario import life"),
    (floors.pure_modules_are_pure, REGISTRY, "import asyncio"),
    (
        floors.pure_modules_are_pure,
        DOMAIN,
        "from kernel.errors import NotFound\nfrom modelog.registry.v1 import events_pb2",
    ),
    (floors.client_needs_no_server, "libs/modelog/cli/main.py", "def up():\n    import suite.embedded"),
    (floors.client_needs_no_server, "libs/modelog/evaluate/scores.py", "import numpy as np"),
    (floors.nothing_runs_code_of_others, "services/registry/scan.py", "import pickletools"),
    (floors.nothing_runs_code_of_others, "libs/modelog/declare/x.py", "import yaml"),
    (floors.nothing_runs_code_of_others, "libs/modelog/mlflow/x.py", "import yaml"),
    (floors.yaml_makes_no_objects, "libs/modelog/declare/x.py", "yaml.compose_all(text, Loader=yaml.SafeLoader)"),
    (floors.nothing_is_evaluated, REGISTRY, "import re\nx = re.compile('a')"),
    (floors.nothing_is_evaluated, REGISTRY, "import numpy as np\nx = np.load(path, allow_pickle=False)"),
    (floors.nothing_is_evaluated, REGISTRY, "import subprocess\nsubprocess.run(['ls'], shell=False)"),
    (code.sql_has_its_rooms, "services/registry/queries.py", "x = 'select name from version'"),
    (code.sql_has_its_rooms, "libs/kernel/tables.py", "x = 'delete from request'"),
    (code.sql_has_its_rooms, REGISTRY, '"""Select one from many."""\nx = "select another stage"'),
    (code.environment_only_in_settings, "libs/kernel/settings.py", "import os\nx = os.environ"),
    (code.environment_only_in_settings, REGISTRY, "import os\nx = os.cpu_count()"),
    (code.environment_only_in_settings, "libs/suite/process.py", "import os\nx = dict(os.environ) | {'A': 'b'}"),
    (code.environment_only_in_settings, "libs/suite/process.py", "import os\nx = [os.environ[n] for n in KEPT]"),
    (
        code.environment_only_in_settings,
        "libs/suite/process.py",
        "import os\nx = {k: v for k, v in os.environ.items()}",
    ),
    (code.pure_modules_read_no_clock, REGISTRY, "from datetime import datetime, UTC\nx = datetime.now(UTC)"),
    (
        code.kernel_spells_no_service,
        "libs/kernel/rpc.py",
        '"""The registry, for example."""\nx = "deployment.environment.name"',
    ),
    (code.files_stay_small, REGISTRY, "x = 1\n" * 400),
    (code.functions_stay_small, REGISTRY, LONG_FUNCTION.removesuffix("    pass\n")),
]


def complaints(rule: Rule, path: str, text: str) -> list[str]:
    return list(rule(Module(PurePosixPath(path), text)))


@pytest.mark.parametrize(("rule", "path", "text"), BROKEN)
def test_a_broken_rule_is_found_once(rule: Rule, path: str, text: str) -> None:
    assert len({sentence.partition(":")[0] for sentence in complaints(rule, path, text)}) == 1


@pytest.mark.parametrize(("rule", "path", "text"), KEPT)
def test_what_keeps_a_rule_is_left_alone(rule: Rule, path: str, text: str) -> None:
    assert complaints(rule, path, text) == []


def test_every_rule_has_been_seen_to_fail() -> None:
    assert {rule for rule, _, _ in BROKEN} == set(floors.RULES + code.RULES)
