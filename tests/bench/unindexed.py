"""The registry without the table that searches read, to compare with: `python -m tests.bench.unindexed`."""

from dataclasses import replace

from kernel.service import run
from services.registry.__main__ import BLUEPRINT

if __name__ == "__main__":
    run(replace(BLUEPRINT, searchables=()))
