"""Every text file of the project keeps the rules of text.py, and each of those rules can fail."""

import pytest

from tests.house import text
from tests.house.text import HOSTS, TextRule
from tests.house.tree import ROOT, tracked

THIS_FILE = "tests/house/test_text.py"


@pytest.mark.parametrize("rule", text.RULES, ids=lambda rule: str(rule.__name__))
def test_every_text_keeps(rule: TextRule) -> None:
    found = []
    for name in tracked():
        content = (ROOT / name).read_bytes()
        if b"\0" not in content and name != THIS_FILE:
            found += [f"{name}:{sentence}" for sentence in rule(content.decode("utf-8"))]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (text.no_package_registry, f"see https://{HOSTS[0]}/simple"),
        (text.no_package_registry, f"image: {HOSTS[-1]}/a/b"),
        (text.no_package_registry, "pip install --index-url x y"),
        (text.no_machine_path, "cd /root/modelog"),
        (text.no_machine_path, "see '/home/ada/.venv'"),
        (text.no_conflict_marker, "<<<<<<< ours"),
    ],
)
def test_a_broken_rule_is_found(rule: TextRule, line: str) -> None:
    assert [sentence.partition(":")[0] for sentence in rule(f"fine\n{line}\n")] == ["2"]


@pytest.mark.parametrize(
    "line", ["the registry service", "projects/home/models/x", "a/root/b", "nats-server.io/x", "/"]
)
def test_what_keeps_the_rules_is_left_alone(line: str) -> None:
    assert [sentence for rule in text.RULES for sentence in rule(line)] == []
