"""Whom a text speaks to: `@users/ben`, `@teams/risk`, `@serviceaccounts/ci`."""

import re
from collections.abc import Iterator

from kernel.errors import invalid_field

MOST_MENTIONS = 20
TEAM = "teams/"
_ID = r"[A-Za-z0-9](?:[A-Za-z0-9._@+=:|~-]{0,126}[A-Za-z0-9=])?"
# Not inside a word or a path, so that mail addresses and links speak to nobody.
_MENTION = re.compile(rf"(?<![\w@/.-])@((?:users|serviceaccounts)/{_ID}|teams/[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?)")
_FENCE, _TICK = "```", "`"


def mentions(body: str, field: str = "body") -> list[str]:
    """Each once, in the order of the text; what stands in code speaks to nobody. Invalid beyond 20."""
    found = list(dict.fromkeys(one[1] for text in _outside_code(body) for one in _MENTION.finditer(text)))
    if len(found) > MOST_MENTIONS:
        raise invalid_field(
            field, f"it speaks to {len(found)}; {MOST_MENTIONS} at most, make it a team", "TOO_MANY_MENTIONS"
        )
    return found


def _outside_code(body: str) -> Iterator[str]:
    """The text without fenced blocks and code spans; a tick that nothing closes is only a tick."""
    for block in _every_other(body, _FENCE):
        yield from _every_other(block, _TICK)


def _every_other(text: str, mark: str) -> list[str]:
    parts = text.split(mark)
    outside = parts[0::2]
    # An even number of parts: the last mark opens what is never closed.
    return outside if len(parts) % 2 else [*outside, parts[-1]]
