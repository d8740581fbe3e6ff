"""One pickle, opcode by opcode: which globals it names. It is never loaded, and what it costs to read it is limited."""

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

# A model of a gigabyte has far fewer; a hostile file of nothing but opcodes is given up after some seconds.
MOST_OPCODES = 4_000_000
MOST_GLOBALS = 256
_LARGE_BYTES = 1 << 20
_STACK = 1_000_000

_MARK = pickletools.markobject
_STRINGS = frozenset("STRING BINSTRING SHORT_BINSTRING UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8".split())
_UNKNOWN = object()


class Unreadable(Exception):
    """Not a pickle to its end, or one beyond the limits."""


@dataclass
class Listing:
    """What was found. globals: (module, name), in the order of naming; `?` for what is put together at run time."""

    globals: dict[tuple[str, str], None] = field(default_factory=dict)
    opcodes: int = 0
    pickles: int = 0


class _Reader:
    """A file as pickletools reads it: large values are skipped and never held, lines end somewhere."""

    def __init__(self, file: IO[bytes], size_bytes: int) -> None:
        self._file, self._size_bytes = file, size_bytes

    def read(self, count: int) -> Any:
        if count <= _LARGE_BYTES:
            return self._file.read(count)
        place = self._file.tell()
        if count > self._size_bytes - place:
            raise Unreadable(f"a value of {count} bytes begins at {place}, behind which there are fewer")
        self._file.seek(place + count)
        return _Skipped(count)

    def readline(self) -> bytes:
        return self._file.readline(_LARGE_BYTES)

    def tell(self) -> int:
        return self._file.tell()


class _Skipped:
    """Stands for bytes that were not read. As text it is refused by the interpreter itself: no name is that long."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        return iter(())


def list_one(file: IO[bytes], size_bytes: int, listing: Listing) -> None:
    """Reads one pickle from where `file` stands to behind its STOP, into `listing`; Unreadable where it cannot."""
    machine = _Machine(listing)
    try:
        for opcode, argument, place in pickletools.genops(_Reader(file, size_bytes)):  # type: ignore[arg-type]
            listing.opcodes += 1
            if listing.opcodes > MOST_OPCODES:
                raise Unreadable(f"more than {MOST_OPCODES} opcodes")
            machine.step(opcode, argument, place)
    except Unreadable:
        raise
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError, MemoryError) as error:
        raise Unreadable(f"no opcode can be read at {file.tell()}: {str(error)[:100]}") from error
    listing.pickles += 1


class _Machine:
    """The pickle machine without values: only texts are kept, since only they can name something."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def step(self, opcode: Any, argument: Any, place: int | None) -> None:
        name = opcode.name
        if name in ("GLOBAL", "INST"):
            module, _, attribute = argument.partition(" ")
            self._found(module, attribute)
        elif name == "STACK_GLOBAL":
            parts = self._stack[-2:]
            known = len(parts) == 2 and all(isinstance(one, str) for one in parts)
            self._found(*(parts if known else ("?", "?")))
        elif name in ("EXT1", "EXT2", "EXT4"):
            self._found("?", f"extension {argument}")
        self._move(opcode, name, argument, place)

    def _found(self, module: str, name: str) -> None:
        found = self._listing.globals
        found.setdefault((module[:256], name[:256]))
        if len(found) > MOST_GLOBALS:
            raise Unreadable(f"more than {MOST_GLOBALS} different globals")

    def _move(self, opcode: Any, name: str, argument: Any, place: int | None) -> None:
        """What the opcode does to stack and memo, by the tables that describe it."""
        stack = self._stack
        after = [argument if name in _STRINGS and isinstance(argument, str) else _UNKNOWN] * len(opcode.stack_after)
        if name == "MARK":
            after = [_MARK]
        if name == "DUP":
            after = [stack[-1], stack[-1]]
        if name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
            return
        if name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
            return
        if name in ("GET", "BINGET", "LONG_BINGET"):
            after = [self._memo[argument]]
        self._pop(opcode.stack_before, name)
        stack.extend(after)
        if len(stack) > _STACK or len(self._memo) > _STACK:
            raise Unreadable(f"its stack grows beyond {_STACK} at {place}")

    def _pop(self, before: Any, name: str) -> None:
        stack = self._stack
        if _MARK in before or (name == "POP" and stack and stack[-1] is _MARK):
            while stack.pop() is not _MARK:
                pass
            count = before.index(_MARK) if _MARK in before else 0
        else:
            count = len(before)
        if count > len(stack):
            raise Unreadable(f"{name} takes more from the stack than there is")
        if count:
            del stack[-count:]
