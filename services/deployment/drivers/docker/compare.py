"""What somebody has changed of a container. Pure."""

from collections.abc import Mapping
from typing import Any

from services.deployment.drivers.docker.names import SPEC, Facts

# What may be changed of a container that runs, and is put back without ending it.
_LIMITS = ("Memory", "MemorySwap", "NanoCpus", "PidsLimit")
_FIXED = ("ReadonlyRootfs", "CapDrop", "SecurityOpt", "NetworkMode", "Binds")


def is_of(container: Facts, spec: Mapping[str, Any]) -> bool:
    """Whether it was made by this very spec."""
    labels = container["Config"].get("Labels") or {}
    return bool(labels.get(SPEC) == spec["Labels"][SPEC])


def limits_changed(container: Facts, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The limits to put back, by the engine's name; empty when all are as they were asked for."""
    live, wanted = container["HostConfig"], spec["HostConfig"]
    changed = {name: wanted[name] for name in _LIMITS if (live.get(name) or 0) != wanted[name]}
    if {"Memory", "MemorySwap"} & changed.keys():  # The engine takes one only in accord with the other.
        changed |= {"Memory": wanted["Memory"], "MemorySwap": wanted["MemorySwap"]}
    if live["RestartPolicy"]["Name"] != wanted["RestartPolicy"]["Name"]:
        changed["RestartPolicy"] = wanted["RestartPolicy"]
    return changed


def beyond_repair(container: Facts, spec: Mapping[str, Any]) -> str:
    """What can only be put right by a new container, in words; empty when there is nothing."""
    config, live, wanted = container["Config"], container["HostConfig"], spec["HostConfig"]
    for name in ("Image", "Cmd", "User"):
        if config.get(name) != spec[name]:
            return f"its {name} is {str(config.get(name))[:80]}"
    for name in _FIXED:
        if (live.get(name) or None) != (wanted[name] or None):
            return f"its {name} is {live.get(name)}"
    if live.get("Privileged"):
        return "it is privileged"
    networks = set(container["NetworkSettings"]["Networks"] or ())
    if networks != {wanted["NetworkMode"]}:
        return f"its networks are {', '.join(sorted(networks)) or 'none'}"
    return ""


def in_words(changed: Mapping[str, Any], container: Facts) -> str:
    live = container["HostConfig"]
    return ", ".join(f"{name} is {live.get(name)}" for name in sorted(changed))
