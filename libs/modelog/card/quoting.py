"""Plain values as YAML that every reader understands the same: nothing is guessed from a text."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

_INDENT = "  "


def dumped(value: Mapping[str, Any]) -> str:
    """Block style for maps and lists, JSON's double quotes for texts. Keys are texts; numbers have to be finite."""
    return "".join(f"{line}\n" for line in _lines(value, 0))


def _lines(value: Any, depth: int) -> list[str]:
    pad = _INDENT * depth
    if isinstance(value, Mapping):
        made = []
        for key, one in value.items():
            if _nested(one):
                made += [f"{pad}{_scalar(key)}:", *_lines(one, depth + 1)]
            else:
                made.append(f"{pad}{_scalar(key)}: {_flat(one)}")
        return made
    made = []
    for one in value:
        if _nested(one):
            first, *rest = _lines(one, depth + 1)
            made += [f"{pad}- {first.lstrip()}", *rest]
        else:
            made.append(f"{pad}- {_flat(one)}")
    return made


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple) and bool(value)


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{}"
    return "[]" if isinstance(value, Sequence) and not isinstance(value, str) else _scalar(value)


def _scalar(value: Any) -> str:
    """JSON, which YAML 1.2 contains. Plain keys stay plain; what is not ASCII is escaped by YAML's own rules."""
    if isinstance(value, str) and value.isidentifier() and value.lower() not in _TAKEN and value.isascii():
        return value
    if not isinstance(value, str):
        plain = json.dumps(value)
        # Older readers take 1e-05 for a text; what has a point is a number to all.
        return plain.replace("e", ".0e") if isinstance(value, float) and "e" in plain and "." not in plain else plain
    return "".join(map(_letter, json.dumps(value, ensure_ascii=False)))


# What older readers take for something else than a text.
_TAKEN = frozenset("y n yes no on off true false null none".split())


def _letter(letter: str) -> str:
    code = ord(letter)
    printed = 0x20 <= code < 0x7F or (code >= 0xA0 and letter.isprintable())
    if printed:
        return letter
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
