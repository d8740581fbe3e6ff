"""YAML as plain texts, lists and maps: composed, and never made into objects. Every scalar stays the text it is."""

from typing import Any

import yaml

_MOST_NODES = 100_000
_DEEPEST = 50
_NULL = "tag:yaml.org,2002:null"


def plain(text: str | bytes) -> Any:
    """The first document; None when there is none. ValueError for what is no YAML, or far too much of it."""
    try:
        node = next(iter(yaml.compose_all(text, Loader=yaml.SafeLoader)), None)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"no YAML: {' '.join(str(error).split())}") from error
    return None if node is None else _value(node, [0], _DEEPEST)


def _value(node: Any, seen: list[int], deepest: int) -> Any:
    """seen: how many nodes were looked at, for one that is pointed to often counts every time."""
    seen[0] += 1
    if seen[0] > _MOST_NODES or not deepest:
        raise ValueError("no YAML that can be read: it is too large or nested too deeply")
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): _value(value, seen, deepest - 1) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_value(one, seen, deepest - 1) for one in node.value]
    return None if node.tag == _NULL else node.value
