"""The protos keep the rules of protos.py, every fact has a fold, and the generated code is what they generate."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import protovalidate
import pytest

from modelog.type.v1.read_pb2 import ReadOptions
from tests.house import protos
from tests.house.floors import SERVICES
from tests.house.image import GENERATOR, Image
from tests.house.protos import ProtoRule
from tests.house.tree import ROOT, Module, modules, services


@pytest.mark.parametrize("rule", protos.RULES, ids=lambda rule: str(rule.__name__))
def test_every_proto_keeps(rule: ProtoRule, image: Image) -> None:
    found = list(rule(image))
    assert not found, "\n" + "\n".join(found)


def cases(module: Module) -> Iterator[str]:
    """Names of the classes that `case` patterns of a module match, without their modules."""
    for node in ast.walk(module.tree):
        match node:
            case ast.MatchClass(cls=ast.Attribute(attr=name) | ast.Name(id=name)):
                yield name


def events(image: Image, service: str) -> set[str]:
    """The facts a service may record: messages of its *events.proto that are not part of another."""
    folder = f"modelog/{service}/v1/"
    own = [file for file in image.files if file.name.startswith(folder) and file.name.endswith("events.proto")]
    parts = {field.type_name for file in own for message in file.message_type for field in message.field}
    return {
        message.name for file in own for message in file.message_type if f".{file.package}.{message.name}" not in parts
    }


@pytest.mark.parametrize("service", [name for name in SERVICES if name in services()])
def test_every_fact_has_its_case_in_domain(service: str, image: Image) -> None:
    domain = [one for one in modules() if (one.service == service and one.is_domain) or one.package == "access"]
    missing = events(image, service) - {name for module in domain for name in cases(module)}
    assert not missing, f"services/{service}: no case for {', '.join(sorted(missing))}"


def test_generated_code_is_fresh() -> None:
    command: list[str | Path] = [GENERATOR, ROOT / "protos" / "generate.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_declared_limits_are_enforced() -> None:
    """protovalidate finds our rules: a second registration of buf/validate/validate.proto would hide them."""
    protovalidate.validate(ReadOptions(at_least=7))
    with pytest.raises(protovalidate.ValidationError) as caught:
        protovalidate.validate(ReadOptions(at_least=-1))
    assert [violation.proto.rule_id for violation in caught.value.violations] == ["int64.gte"]
