"""Where a live object is not what was asked for. Only what we ask for is looked at; the rest is others'. Pure."""

from collections.abc import Iterator
from typing import Any

from services.deployment.drivers.kubernetes.names import APPLIED, Manifest
from services.deployment.drivers.port import Change

# Lists that are maps in truth: others may add entries, so entries are found by this field.
_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
}
_UNITS = {"m": 0.001, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "k": 1e3, "M": 1e6, "G": 1e9}
_QUANTITIES = ("cpu", "memory")
_MOST_NAMED = 3
_SHORT = 40


def change_of(manifest: Manifest, live: Manifest | None) -> Change | None:
    """What applying the manifest would do; None when there is nothing to do."""
    what = f"{manifest['kind']} {manifest['metadata']['name']}"
    if live is None or live["metadata"].get("deletionTimestamp"):
        return Change("start", what)
    found = list(differences(_asked(manifest), live))
    if not found:
        return None
    ours = manifest["metadata"]["annotations"][APPLIED]
    theirs = (live["metadata"].get("annotations") or {}).get(APPLIED)
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return Change("repair" if ours == theirs else "replace", what, ", ".join(found[:_MOST_NAMED]) + more)


def _asked(manifest: Manifest) -> Manifest:
    """Without what only says which object it is."""
    return {name: value for name, value in manifest.items() if name not in ("apiVersion", "kind")}


def differences(wanted: Any, live: Any, path: str = "") -> Iterator[str]:
    """Paths at which the live value is not the wanted one, with the live one where it is short."""
    match wanted:
        case dict():
            for name, value in wanted.items():
                inner = live.get(name) if isinstance(live, dict) else None
                yield from differences(value, inner, f"{path}.{name}" if path else name)
        case list():
            yield from _in_lists(wanted, live if isinstance(live, list) else [], path)
        case _ if path.rpartition(".")[2] in _QUANTITIES and _amount(wanted) == _amount(live):
            pass
        case _ if wanted != live:
            yield f"{path} is {live}" if isinstance(live, int | str) and len(str(live)) <= _SHORT else path


def _in_lists(wanted: list[Any], live: list[Any], path: str) -> Iterator[str]:
    if key := _KEYS.get(path.rpartition(".")[2]):
        known = {one.get(key): one for one in live}
        for value in wanted:
            yield from differences(value, known.get(value[key]), f"{path}[{value[key]}]")
    elif len(live) != len(wanted):
        yield f"{path} has {len(live)} entries"
    else:
        for index, (value, inner) in enumerate(zip(wanted, live, strict=True)):
            yield from differences(value, inner, f"{path}[{index}]")


def _amount(value: object) -> float | None:
    """A quantity as a number: the server writes 1000m as 1."""
    text = str(value)
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            text, scale = text.removesuffix(unit), factor
            break
    else:
        scale = 1.0
    try:
        return float(text) * scale
    except ValueError:
        return None
