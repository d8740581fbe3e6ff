"""Who owns which field: server-side apply as KEP-555 has it, with the field sets of structured-merge-diff.

A path is a tuple of steps: `f:name` into a map, `k:{"name":"a"}` into a list whose entries have keys. Every other list
is one value, owned as a whole.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str, ...]
Object = dict[str, Any]

# Lists that are maps in truth (x-kubernetes-list-type: map), by the field they stand in.
_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
}
# Lists called `ports` have other keys in a Service than in a container.
_PORTS = (("containerPort", "protocol"), ("port", "protocol"))
# Not anybody's to own: they say which object it is, or are the server's.
_NOBODYS = frozenset("apiVersion kind".split())
_NOBODYS_IN_METADATA = frozenset(
    "name namespace uid resourceVersion generation creationTimestamp managedFields deletionTimestamp"
    " deletionGracePeriodSeconds".split()
)


def keys_of(field: str, entries: Any) -> tuple[str, ...]:
    """By what the entries of a list are told apart; empty when the list is one value."""
    if field == "ports" and isinstance(entries, list):
        return next((keys for keys in _PORTS if all(keys[0] in one for one in entries)), ())
    return _KEYS.get(field, ())


def step(entry: Object, keys: tuple[str, ...]) -> str:
    return "k:" + json.dumps({key: entry.get(key) for key in keys}, sort_keys=True, separators=(",", ":"))


def leaves(value: Object, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every owned field with its value. An empty map is a value."""
    for name, inner in value.items():
        if not path and name in _NOBODYS:
            continue
        if path == ("f:metadata",) and name in _NOBODYS_IN_METADATA:
            continue
        yield from _leaf(name, inner, (*path, f"f:{name}"))


def _leaf(name: str, value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    keys = keys_of(name, value) if isinstance(value, list) else ()
    if isinstance(value, dict) and value:
        yield from leaves(value, path)
    elif keys and value:
        for entry in value:
            inner = (*path, step(entry, keys))
            yield (*inner, "."), None
            yield from leaves(entry, inner)
    else:
        yield path, value


def tree(paths: set[Path]) -> Object:
    """The paths as FieldsV1, as an object shows them."""
    root: Object = {}
    for path in sorted(paths):
        node = root
        for one in path:
            node = node.setdefault(one, {})
    return root


def merged(live: Object, wanted: Object) -> Object:
    """The live object with every field of `wanted` in it."""
    result = copy.deepcopy(live)
    for name, value in wanted.items():
        result[name] = _merge(name, result.get(name), value)
    return result


def _merge(name: str, live: Any, wanted: Any) -> Any:
    if isinstance(wanted, dict) and isinstance(live, dict):
        return merged(live, wanted)
    keys = keys_of(name, wanted) if isinstance(wanted, list) else ()
    if keys and isinstance(live, list):
        known = {step(one, keys): one for one in live}
        for entry in wanted:
            found = known.get(step(entry, keys))
            known[step(entry, keys)] = merged(found, entry) if found else copy.deepcopy(entry)
        return list(known.values())
    return copy.deepcopy(wanted)


def without(live: Object, path: Path) -> None:
    """Takes one field out of an object, and the maps that become empty by it."""
    _take(live, "", path)


def _take(node: Any, name: str, path: Path) -> None:
    first, rest = path[0], path[1:]
    if first.startswith("k:") and isinstance(node, list):
        keys = tuple(json.loads(first[2:]))
        for index, entry in enumerate(node):
            if step(entry, keys) == first:
                if rest in ((), (".",)):
                    del node[index]
                else:
                    _take(entry, name, rest)
                return
    elif isinstance(node, dict) and first[2:] in node:
        field = first[2:]
        if not rest:
            del node[field]
            return
        _take(node[field], field, rest)
        if node[field] in ({}, []):
            del node[field]


class Conflict(Exception):
    """Fields that belong to somebody else: (manager, path) of each."""

    def __init__(self, owned: list[tuple[str, Path]]) -> None:
        super().__init__(", ".join(f"{manager}: {'.'.join(path)}" for manager, path in owned))
        self.owned = owned


class Owners:
    """managedFields of one object: (manager, operation) -> paths."""

    def __init__(self) -> None:
        self.paths: dict[tuple[str, str], set[Path]] = {}

    def apply(self, manager: str, live: Object, wanted: Object, *, force: bool) -> Object:
        """The object after an apply. Conflict unless the fields are free, ours, of the same value, or forced."""
        asked = dict(leaves(wanted))
        had = dict(leaves(live))
        mine = (manager, "Apply")
        taken = [
            (other[0], path)
            for other, paths in self.paths.items()
            if other != mine
            for path in sorted(paths & asked.keys())
            if path in had and had[path] != asked[path]
        ]
        if taken and not force:
            raise Conflict(taken)
        for other, paths in self.paths.items():
            if other != mine:
                paths.difference_update(path for name, path in taken if name == other[0])
        result = merged(live, wanted)
        left = self.paths.get(mine, set()) - asked.keys()
        others = set().union(*(paths for other, paths in self.paths.items() if other != mine))
        # Whole entries of lists first: without their keys they would not be found any more.
        for path in sorted(left - others, key=lambda one: one[-1] != "."):
            if path[-1] != "." or not any(one[: len(path) - 1] == path[:-1] for one in others):
                without(result, path)
        self.paths[mine] = set(asked)
        self._tidy()
        return result

    def update(self, manager: str, before: Object, after: Object) -> None:
        """Whoever writes a whole object owns what it has changed; who had another value there has lost it."""
        had, has = dict(leaves(before)), dict(leaves(after))
        changed = {path for path, value in has.items() if path not in had or had[path] != value}
        gone = had.keys() - has.keys()
        for paths in self.paths.values():
            paths.difference_update(changed | gone)
        if changed:
            self.paths.setdefault((manager, "Update"), set()).update(changed)
        self._tidy()

    def shown(self) -> list[Object]:
        return [
            {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": tree(paths)}
            for (manager, operation), paths in sorted(self.paths.items())
        ]

    def _tidy(self) -> None:
        for owner in [owner for owner, paths in self.paths.items() if not paths]:
            del self.paths[owner]
