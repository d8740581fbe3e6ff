"""Any message as a table, as a page of details, or as JSON: one way for all commands."""

import base64
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from google.protobuf import json_format
from rich.console import Console
from rich.table import Table
from rich.text import Text

from modelog.cli.cells import Cell, cell, is_set, label, summary
from modelog.cli.columns import COLUMNS
from modelog.cli.text import clean
from modelog.sdk.facts import event_of

# Without a terminal nothing is wrapped or cut: whoever reads it reads lines.
_WIDE = 20_000
_INDENT = "  "


def reply(message: Any, *, as_json: bool, dry: bool = False) -> int | None:
    """The reply of a write in a line, anything else with all that is set in it."""
    if as_json:
        print_json(plain(message))
        return None
    fields = message.DESCRIPTOR.fields_by_name
    if "revision" in fields and "name" in fields and "generation" not in fields:
        told = "would be accepted; nothing was recorded" if dry else f"revision {message.revision}"
        console().print(Text(clean(f"{message.name}: {told}")))
        rest = type(message)()
        rest.CopyFrom(message)
        rest.ClearField("name")
        rest.ClearField("revision")
        message = rest
    details(message)
    return None


def rows(messages: Sequence[Any]) -> None:
    """Messages of one kind as a table with the columns of the kind."""
    kind = messages[0].DESCRIPTOR
    columns = COLUMNS.get(kind.full_name) or [field.name for field in kind.fields if field.message_type is None]
    paths = [(path, title or label(path)) for path, _, title in (column.partition(":") for column in columns)]
    table([title for _, title in paths], [[cell(message, path) for path, _ in paths] for message in messages])


def items(messages: Sequence[Any], *, as_json: bool, tabulate: Callable[[Sequence[Any]], None] = rows) -> None:
    """A list: a JSON array, or a table."""
    if as_json:
        print_json([plain(message) for message in messages])
    elif messages:
        tabulate(messages)
    else:
        console(stderr=True).print("none", style="dim")


def table(titles: Sequence[str], lines: Iterable[Sequence[Cell | str]]) -> None:
    """A table without lines; titles in capitals."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        made.add_column(title if "/" in title else title.upper(), overflow="fold")
    for line in lines:
        made.add_row(*(_text(one, one_line=True) for one in line))
    _print(made)


def line(*parts: Cell) -> None:
    """One line made of parts in colours of their own."""
    told = Text()
    for part in parts:
        told.append(clean(" ".join(part.text.split("\n"))), style=part.style)
    console().print(told, soft_wrap=True)


def details(message: Any) -> None:
    """All that is set in a message, one line a value, what is inside indented."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for depth, name, value in _tree(message, 0):
        made.add_row(Text(clean(_INDENT * depth + name)), _text(value))
    if made.row_count:
        _print(made)


def _print(made: Table) -> None:
    """The table; in a file or a pipe without the blanks that fill its last column."""
    out = console()
    if out.is_terminal:
        return out.print(made)
    with out.capture() as captured:
        out.print(made)
    return print("\n".join(line.rstrip() for line in captured.get().splitlines()), flush=True)


def console(*, stderr: bool = False) -> Console:
    """Colour only on a terminal, and never with NO_COLOR; nothing in the text is taken for markup."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, width=None if terminal else _WIDE)


def print_json(value: Any, *, line: bool = False) -> None:
    """JSON for programs: indented, or one value a line."""
    print(json.dumps(value, indent=None if line else 2, ensure_ascii=False), flush=line)


def plain(message: Any) -> dict[str, Any]:
    """A message with the fields of its proto, as JSON has them; an event of an unknown kind keeps its bytes."""
    copy = type(message)()
    copy.CopyFrom(message)
    fact = copy.fact if "fact" in copy.DESCRIPTOR.fields_by_name and copy.HasField("fact") else None
    event = None if fact is None else _event(fact)
    if fact is not None:
        fact.ClearField("event")
    made: dict[str, Any] = json_format.MessageToDict(copy, always_print_fields_with_no_presence=True)
    if event is not None:
        made["fact"]["event"] = event
    return made


def _event(fact: Any) -> dict[str, Any]:
    event = event_of(fact)
    if event is None:
        return {"@type": fact.event.type_url, "value": base64.b64encode(fact.event.value).decode()}
    values = json_format.MessageToDict(event, always_print_fields_with_no_presence=True)
    return {"@type": fact.event.type_url, **values}


def _tree(message: Any, depth: int) -> Iterator[tuple[int, str, Cell | str]]:
    for field in message.DESCRIPTOR.fields:
        if is_set(message, field) and not _is_void(field, getattr(message, field.name)):
            yield from _branch(label(field.name), field, getattr(message, field.name), depth)


def _is_void(field: Any, value: Any) -> bool:
    """A message that could say something and does not; one without fields, like a choice among others, speaks."""
    if field.message_type is None or field.is_repeated or summary(field, value) is not None:
        return False
    return bool(field.message_type.fields) and not value.ListFields()


def _branch(name: str, field: Any, value: Any, depth: int) -> Iterator[tuple[int, str, Cell | str]]:
    """A field with what is inside it: on one line when it can be said on one."""
    nested = field.message_type
    if nested is not None and nested.GetOptions().map_entry:
        yield depth, name, ""
        for key in sorted(value):
            yield from _value(str(key), nested.fields_by_name["value"], value[key], depth + 1)
    elif not field.is_repeated:
        yield from _value(name, field, value, depth)
    elif nested is None:
        yield depth, name, summary(field, value) or ""
    else:
        yield depth, name, ""
        for number, one in enumerate(value, 1):
            yield from _value(f"{number}.", field, one, depth + 1)


def _value(name: str, field: Any, value: Any, depth: int) -> Iterator[tuple[int, str, Cell | str]]:
    """One value: in a line, or a message with its fields below."""
    short = summary(field, value, single=True)
    yield depth, name, short if short is not None else ""
    if short is None:
        yield from _tree(value, depth + 1)


def _text(value: Cell | str, *, one_line: bool = False) -> Text:
    text, style = (value.text, value.style) if isinstance(value, Cell) else (value, "")
    if one_line:
        text = " ".join(text.split())
    return Text(clean(text), style=style)
