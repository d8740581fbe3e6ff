"""What is wrong with the columns of a batch, one by one, in a form that programs and people can act on. Pure."""

from collections.abc import Sequence

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.profile import Column
from services.monitoring.telemetry.arrow import Unsupported

MOST_COLUMNS = 64
_MOST_EXAMPLE = 64
NUMBERS, TEXT = "numbers", "text"


def misfit(column: Column, categorical: bool) -> types.RejectedColumn:
    """A column whose type is not that of the signature. Of text where numbers are expected, the rows that are none."""
    wrong = types.RejectedColumn(name=column.name, role=column.role, wrong_rows=column.rows)
    if categorical:
        wrong.expected, wrong.found = TEXT, NUMBERS
        wrong.example = repr(float(column.numbers[0]))
        return wrong
    wrong.expected, wrong.found = NUMBERS, TEXT
    strings = column.strings or ()
    unfit = [row for row, text in enumerate(strings) if text and not is_number(text)]
    if unfit:
        wrong.wrong_rows = len(unfit)
    wrong.first_row = unfit[0] if unfit else 0
    wrong.example = shown(strings[wrong.first_row])
    return wrong


def length(name: str, role: types.ColumnRole, values: int, rows: int) -> types.RejectedColumn:
    return types.RejectedColumn(
        name=shown(name), role=role, expected=f"{rows} values", found=f"{values} values", first_row=-1
    )


def improper(name: str, role: types.ColumnRole, expected: str, found: str) -> types.RejectedColumn:
    """A column that is wrong as a whole."""
    return types.RejectedColumn(name=shown(name), role=role, expected=expected, found=found, first_row=-1)


def unsupported(error: Unsupported, outputs: Sequence[str]) -> list[types.RejectedColumn]:
    return [
        improper(
            name,
            types.COLUMN_ROLE_OUTPUT if name in outputs else types.COLUMN_ROLE_INPUT,
            "numbers, booleans, times or text",
            found,
        )
        for name, found in error.columns
    ]


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def shown(text: str) -> str:
    """Postgres keeps no NUL, and nobody needs a whole document as an example."""
    return text.replace("\0", "\\0")[:_MOST_EXAMPLE]
