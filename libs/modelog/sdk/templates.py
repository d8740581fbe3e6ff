"""Policies to begin with, shipped as readable files in `modelog/templates`; each requirement names its source."""

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from google.protobuf import json_format

from modelog.registry.v1.types_pb2 import Policy


@dataclass(frozen=True)
class Template:
    """A policy with what it is for. source: the law or guidance that its `source` fields speak of."""

    name: str
    title: str
    about: str
    source: str
    policy: Policy


def template_names() -> list[str]:
    """Every template that is shipped, in the order of the alphabet."""
    return sorted(one.name.removesuffix(".json") for one in _folder().iterdir() if one.name.endswith(".json"))


def template(name: str) -> Template:
    """KeyError, naming those there are, for one that is not shipped."""
    known = template_names()
    if name not in known:
        raise KeyError(f"there is no template {name!r}: {', '.join(known)}")
    text = _folder().joinpath(f"{name}.json").read_text(encoding="utf-8")
    said: dict[str, Any] = json.loads(text)
    policy = json_format.ParseDict(said.pop("policy"), Policy())
    return Template(policy=policy, **said)


def _folder() -> Any:
    return resources.files("modelog").joinpath("templates")
