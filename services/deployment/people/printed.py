"""What is new in the end of a log that is read again and again. Pure."""

from typing import NamedTuple

# So much of what was there before has to be found again for what follows it to be called new.
_ANCHOR_CHARACTERS = 512


class New(NamedTuple):
    """text: printed since. gap: more was printed than the end holds, so some is missing before the text."""

    text: str
    gap: bool


def new_in(now: str, before: str) -> New:
    """`now` and `before`: the end of the same log, read one after the other."""
    if now.startswith(before):
        return New(now[len(before) :], gap=False)
    anchor = before[-_ANCHOR_CHARACTERS:]
    at = now.rfind(anchor)
    if at >= 0:
        return New(now[at + len(anchor) :], gap=False)
    return New(now, gap=True)


def end_of(text: str, most_bytes: int) -> str:
    """The last whole lines that fit."""
    raw = text.encode()
    if len(raw) <= most_bytes:
        return text
    cut = raw[len(raw) - most_bytes :]
    return (cut.partition(b"\n")[2] or cut).decode(errors="replace")
