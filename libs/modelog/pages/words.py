"""Values in words, the same in every format."""

import re
from typing import Any

# Control characters, changes of direction and what is not seen: they could make a reader see another text.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_FOLLOWED = re.compile(r"(https?://|mailto:)[^\s<>\"'`\\]+", re.IGNORECASE)


def seen(text: str) -> str:
    """The text with what cannot be seen written out, and lines as lines."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def followed(uri: str) -> bool:
    """Whether an address may become a link: pages and mail, never what a browser would run."""
    return _FOLLOWED.fullmatch(uri) is not None


def number(value: float) -> str:
    return f"{value:.4g}"


def count(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")


def share(value: float) -> str:
    return f"{100 * value:.0f} %"


def percent(value: float) -> str:
    """A share as exact as bars can be read; what is more than nothing is not 0."""
    if 0 < value < 0.0005:
        return "<0.1 %"
    return f"{100 * value:.1f}".removesuffix(".0") + " %"


def size(value: int) -> str:
    """Bytes in the unit that leaves up to three digits."""
    amount = float(value)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1024
    return f"{amount:.3g} TiB"


def time(value: Any) -> str:
    """To the minute, UTC; empty when unset."""
    return f"{value.ToDatetime():%Y-%m-%d %H:%M} UTC" if value.seconds else ""


def word(name: str, prefix: str) -> str:
    """An enum's value as a word: `REVIEW_KIND_FAIRNESS` is fairness."""
    return name.removeprefix(prefix).lower().replace("_", " ")


def label(name: str) -> str:
    return name.replace("_", " ")


def tail(name: str) -> str:
    return "/".join(name.split("/")[1::2]) if name.startswith("projects/") else name
