"""What people wrote, as paragraphs and points."""

import re
from collections.abc import Iterator

from modelog.pages.words import seen


def paragraphs(body: str) -> Iterator[str | list[str]]:
    """A paragraph as a text, or points as a list."""
    for part in re.split(r"\n\s*\n", seen(body).strip("\n")):
        lines = [line.strip() for line in part.split("\n") if line.strip()]
        points = [line[2:] for line in lines if line.startswith(("- ", "* "))]
        if lines and len(points) == len(lines):
            yield points
        elif lines:
            yield "\n".join(lines)
