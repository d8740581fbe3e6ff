"""What each driver lets an environment choose, and which values it takes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kernel.errors import NotAllowedNow, Refusal, invalid_field


@dataclass(frozen=True)
class Whole:
    """A whole number within bounds."""

    smallest: int
    largest: int

    @property
    def wanted(self) -> str:
        return f"a whole number from {self.smallest} to {self.largest}"

    def takes(self, value: str) -> bool:
        return value.isascii() and value.isdigit() and self.smallest <= int(value[:9]) <= self.largest


@dataclass(frozen=True)
class Form:
    """Text of a form. wanted: says it in words."""

    pattern: str
    wanted: str

    def takes(self, value: str) -> bool:
        return re.fullmatch(self.pattern, value) is not None


Rule = Whole | Form

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = rf"{_LABEL}(\.{_LABEL})*"
_NAME = Form(_LABEL, "a name of Kubernetes")
_CPU = Form(r"[1-9][0-9]{0,4}m?", "cores, or thousandths of one: 2, 250m")
_MEMORY = Form(r"[1-9][0-9]{0,5}(Mi|Gi)", "MiB or GiB: 512Mi, 2Gi")
# No part begins with a dot, so that nobody climbs out of the folder.
_PATH = r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*"

# What an inference server can be told, whoever starts it.
REPLICA: Mapping[str, Rule] = {
    "resident_mib": Whole(64, 1 << 20),
    "batch_rows": Whole(0, 4096),
    "batch_delay_ms": Whole(0, 1000),
    "telemetry_percent": Form(r"100|[0-9]{1,2}(\.[0-9]{1,2})?", "a percentage with at most two places: 100, 2.5"),
    "grpc": Form(r"on|off", "on or off"),
}
SETTINGS: Mapping[str, Mapping[str, Rule]] = {
    "process": {"threads": Whole(1, 64), "memory_mib": Whole(256, 1 << 20), "cpus": Whole(1, 256), **REPLICA},
    "docker": {
        "threads": Whole(1, 64),
        # Beyond it a replica is killed, and the endpoint says so.
        "memory_mib": Whole(64, 1 << 20),
        "cpus": _CPU,
        "image": Form(r"[a-z0-9][A-Za-z0-9._:/@-]{0,254}", "an image with tag or digest"),
        "network": Form(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", "a network of the engine"),
        **REPLICA,
    },
    "kubernetes": {
        "threads": Whole(1, 64),
        "namespace": _NAME,
        "image": Form(r"[a-z0-9][A-Za-z0-9._:/@-]{0,254}", "an image with tag or digest"),
        # Of the Gateway API, `name` or `namespace/name`: whose requests come to the endpoints.
        "gateway": Form(rf"({_LABEL}/)?{_LABEL}", "a Gateway: public, infra/public"),
        # Where that Gateway is reached.
        "url": Form(rf"https?://{_HOST}(:[0-9]{{1,5}})?", "a URL without a path: https://models.example.com"),
        # Where pods find artifacts, each at sha256/<hex>: a claim of a volume, or a place that answers to GET.
        "artifacts": Form(
            rf"pvc://{_LABEL}{_PATH}|https?://{_HOST}(:[0-9]{{1,5}})?{_PATH}",
            "pvc://claim/folder or https://host/path",
        ),
        "form": Form(r"deployment|kserve", "deployment or kserve"),
        "replicas_min": Whole(1, 64),
        "replicas_max": Whole(1, 256),
        "cpu_request": _CPU,
        "cpu_limit": _CPU,
        "memory_request": _MEMORY,
        "memory_limit": _MEMORY,
        # A Secret of the namespace with which its image is pulled: by name, never by what is in it.
        "pull_secret": _NAME,
    },
}
REQUIRED: Mapping[str, Sequence[str]] = {"kubernetes": ("gateway", "url", "artifacts")}
# What runs would have to move, with everybody's requests: another environment is for that.
FIXED: Mapping[str, Sequence[str]] = {"kubernetes": ("namespace", "form")}
# What a replica asks for where settings say nothing.
KUBERNETES_DEFAULTS: Mapping[str, str] = {"cpu_request": "250m", "memory_request": "512Mi"}
_NOT_ABOVE = (("replicas_min", "replicas_max"), ("cpu_request", "cpu_limit"), ("memory_request", "memory_limit"))
_UNITS = {"m": 1, "": 1000, "Mi": 1 << 20, "Gi": 1 << 30}


def check_settings(
    driver: str, settings: Mapping[str, str], *, choices: Mapping[str, Sequence[str]], before: Mapping[str, str] | None
) -> None:
    """Refuses a setting that the driver does not have, one that is missing, and a value that it cannot take.

    choices: to which values this installation narrows settings. before: those of an environment that exists.
    """
    known = SETTINGS.get(driver, {})
    _check_values(driver, settings, choices)
    needed = (*REQUIRED.get(driver, ()), *(name for name, values in choices.items() if not values))
    for name in needed:
        if name not in settings:
            raise _wrong(f"{driver} needs {name}: {known[name].wanted}", "MISSING_SETTING")
    for low, high in _NOT_ABOVE:
        if low in settings and high in settings and amount(settings[low]) > amount(settings[high]):
            raise _wrong(f"{low} {settings[low]} is above {high} {settings[high]}", "BAD_SETTING")
    if before is None:
        return
    for name in FIXED.get(driver, ()):
        if settings.get(name, "") != before.get(name, ""):
            raise NotAllowedNow("SETTING_IS_FIXED", f"{name} of an environment stays; define another environment")


def _check_values(driver: str, settings: Mapping[str, str], choices: Mapping[str, Sequence[str]]) -> None:
    known = SETTINGS.get(driver, {})
    for name, value in settings.items():
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise _wrong(f"{driver} has no setting {name!r}; it has {names}", "UNKNOWN_SETTING")
        if not known[name].takes(value):
            raise _wrong(f"{name} is {known[name].wanted}, not {value!r}", "BAD_SETTING")
        if choices.get(name) and value not in choices[name]:
            raise _wrong(f"{name} is one of {', '.join(choices[name])} here, not {value!r}", "SETTING_NOT_ALLOWED")


def amount(value: str) -> int:
    """Of cores in thousandths, of memory in bytes."""
    digits = value.rstrip("mMiG")
    return int(digits) * _UNITS[value.removeprefix(digits)]


def _wrong(text: str, reason: str) -> Refusal:
    return invalid_field("driver_settings", text, reason)
