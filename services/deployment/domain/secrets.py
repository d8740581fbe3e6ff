"""Secrets by reference, and settings that look like secrets themselves: what is recorded is never forgotten."""

import math
import re
from collections import Counter
from collections.abc import Mapping

from kernel.errors import Refusal, invalid_field
from modelog.deployment.v1.environments_pb2 import SecretRef

# From where each driver can hand a secret to a replica.
SOURCES: Mapping[str, tuple[str, ...]] = {
    "process": ("file", "environment_variable"),
    "docker": ("file", "environment_variable"),
    "kubernetes": ("kubernetes_secret",),
}
# What steers a process rather than telling it something.
_RESERVED = re.compile(r"PATH|HOME|SHELL|IFS|LANG|TZ|TMPDIR|(LD|DYLD|PYTHON|MODELOG|LC|GLIBC|MALLOC|ORT|OMP)_?.*")
# Their own words, as far as they are more than half a word: a keyboard is no key, a tokenizer no token.
_NAMES = re.compile(
    r"(^|[_.-])(pass(word|wd|phrase)?|secrets?|tokens?|credentials?|(api|access|private)?_?keys?)([_.-]|$)"
)
_KNOWN = re.compile(
    r"-----BEGIN|\b(AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bxox[abprs]-|\bglpat-|\bsk-[A-Za-z0-9]{20,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.|://[^/@\s]+:[^/@\s]+@"
)
_DIGEST = re.compile(r"[0-9a-f]+")
_WORD = re.compile(r"[A-Za-z0-9+=]{20,}")
_BITS = 3.6


def check_secrets(driver: str, secrets: Mapping[str, SecretRef]) -> None:
    """Refuses a variable that steers the process, and a source from which the driver cannot read."""
    for name, ref in secrets.items():
        if _RESERVED.fullmatch(name):
            raise invalid_field("secrets", f"{name} steers the process itself; call it otherwise", "RESERVED_VARIABLE")
        source = ref.WhichOneof("source") or ""
        if source not in SOURCES.get(driver, ()):
            can = " or ".join(SOURCES.get(driver, ())) or "nowhere"
            raise invalid_field("secrets", f"{driver} reads secrets from {can}, not from {source}", "WRONG_SOURCE")


def check_no_secrets(settings: Mapping[str, str], known: Mapping[str, object]) -> None:
    """Refuses a setting whose name or value looks like a secret, without repeating it.

    known: settings that the driver has; their names say what they hold, as `pull_secret` holds a name.
    """
    for name, value in settings.items():
        if (name not in known and _NAMES.search(name.lower())) or looks_secret(value):
            raise _advice(name)


def looks_secret(value: str) -> bool:
    """A known form of a key or token, a password inside an address, or a long word without order.

    Order is measured by Shannon's entropy over the characters of the word (C. E. Shannon, A Mathematical Theory of
    Communication, 1948), in bits a character: random letters and digits, 20 of them, have about
    4, and words that people make are broken by `-`, `.` and `/`. Digests in hexadecimal are no secrets.
    """
    if _KNOWN.search(value):
        return True
    return any(_random(word) for word in _WORD.findall(value))


def _random(word: str) -> bool:
    if _DIGEST.fullmatch(word) or not (any(map(str.isdigit, word)) and any(map(str.isalpha, word))):
        return False
    counts = Counter(word)
    bits = -sum(n / len(word) * math.log2(n / len(word)) for n in counts.values())
    mixed = any(map(str.isupper, word)) and any(map(str.islower, word))
    return mixed and bits > _BITS


def _advice(name: str) -> Refusal:
    return invalid_field(
        "driver_settings",
        f"{name} looks like a secret, and whatever is recorded stays recorded: nothing was. Put it into a file, a "
        "variable or a Secret of Kubernetes, name that in `secrets`, and take what you have just sent out of use",
        "LOOKS_LIKE_A_SECRET",
    )
