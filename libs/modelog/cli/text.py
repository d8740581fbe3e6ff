"""Text from elsewhere, made safe to print: what others wrote must not steer a person's terminal."""

import re

# C0 and C1 control characters but tab and newline; escape sequences begin with one of them.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """The text with control characters and changes of direction written out."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
