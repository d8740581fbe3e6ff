"""Parts of the rows: by the values of a column, or by its quarters when it holds many numbers."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from modelog.evaluate.observed import Bools, Column, is_numeric, numbers, texts

# A column of more different numbers is cut into quarters.
_MOST_NUMBERS = 12
MOST_VALUES = 32


def parts(column: Column, minimum_rows: int) -> Iterator[tuple[str, Bools]]:
    """Each part's name and rows, in the order of their names; of very many values the most frequent ones."""
    if is_numeric(column) and len(np.unique(np.asarray(column))) > _MOST_NUMBERS:
        yield from (one for one in _quarters(column) if one[1].sum() >= max(1, minimum_rows))
        return
    values = texts(column)
    known, counts = np.unique(values, return_counts=True)
    often = np.argsort(-counts, kind="stable")[:MOST_VALUES]
    for place in sorted(often):
        if counts[place] >= minimum_rows:
            yield str(known[place]), values == known[place]


def _quarters(column: Column) -> Iterator[tuple[str, Bools]]:
    values = numbers(column, "column")
    edges = np.unique(np.quantile(values, [0, 0.25, 0.5, 0.75, 1]))
    for low, high in pairwise(edges):
        last = high == edges[-1]
        inside = (values >= low) & ((values <= high) if last else (values < high))
        yield f"{low:.4g} to {high:.4g}" if last else f"{low:.4g} to below {high:.4g}", inside
