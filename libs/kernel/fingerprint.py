"""What views are made by: a digest over the text of every function that a fold runs.

Views are only worth what they were folded by. When a fold is written anew, those of before are no longer what a rebuild
would give, so the digest is kept beside them and they are folded again when it differs.
"""

import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any

_OURS = ("kernel.", "access.", "services.", "tests.")


def fingerprint(functions: Iterable[Callable[..., Any]]) -> str:
    """64 hex digits, the same as long as no function of ours that these call, however far down, changes its text."""
    seen: dict[str, str] = {}
    waiting = list(functions)
    while waiting:
        function = inspect.unwrap(waiting.pop())
        name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"
        if not isinstance(function, FunctionType) or name in seen or not name.startswith(_OURS):
            continue
        seen[name] = inspect.getsource(function)
        waiting.extend(one for one in _called(function) if callable(one))
    text = "\0".join(f"{name}\0{seen[name]}" for name in sorted(seen))
    return hashlib.sha256(text.encode()).hexdigest()


def _called(function: FunctionType) -> Iterator[Any]:
    """Whatever a function names of its module, and of modules it names; more than it calls does no harm."""
    for code in _codes(function.__code__):
        for name in code.co_names:
            if name in function.__globals__:
                yield function.__globals__[name]
            for module in (one for one in function.__globals__.values() if inspect.ismodule(one)):
                if module.__name__.startswith(_OURS) and hasattr(module, name):
                    yield getattr(module, name)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
