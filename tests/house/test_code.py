"""The tree keeps the rules of floors.py and code.py; test_code_rules.py shows that each of them can fail."""

import pytest

from tests.house import code, floors
from tests.house.floors import Rule
from tests.house.tree import ROOT, modules, services

ROOMS = ("README.md", "settings.py", "__main__.py")
ROOMS_OR_FOLDERS = ("domain", "servicer")


@pytest.mark.parametrize("rule", floors.RULES + code.RULES, ids=lambda rule: str(rule.__name__))
def test_every_file_keeps(rule: Rule) -> None:
    found = [f"{module.path}:{sentence}" for module in modules() for sentence in rule(module)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("service", [name for name in services() if name in floors.SERVICES])
def test_every_service_has_the_same_rooms(service: str) -> None:
    home = ROOT / "services" / service
    missing = [room for room in ROOMS if not (home / room).is_file()]
    missing += [
        f"{room}.py" for room in ROOMS_OR_FOLDERS if not any((home / f"{room}{end}").exists() for end in ("", ".py"))
    ]
    assert not missing, f"services/{service} lacks {', '.join(missing)}"
