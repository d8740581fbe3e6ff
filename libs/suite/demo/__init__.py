"""The demo: one model's whole life on a suite of its own, ending in an audit. See `play.py` for its seven steps."""

from pathlib import Path


def main(data_dir: Path, json: bool = False) -> int:
    """Plays the demo in data_dir and writes data_dir/report.json; 0 only when every verification held.

    data_dir/data holds the suite's data and is kept: another play in the same folder takes a project of its own. With
    `json` the report is printed, and progress goes to standard error.
    """
    # Loads the servers' libraries, which whoever only asks for help should not wait for.
    from suite.demo.run import run

    return run(data_dir, as_json=json)
