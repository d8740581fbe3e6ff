"""The audit fails for a known vulnerability, and never passes in silence when it has looked at nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.house.tree import ROOT

FINE = {"name": "fine", "version": "1", "vulns": []}
BROKEN = {"name": "broken", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}
UNKNOWN = {"name": "unknown", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([FINE], 0, "0 known vulnerabilities in 1 packages"),
        ([FINE, BROKEN], 1, "broken 1: CVE-1, fixed in 2"),
        ([FINE, UNKNOWN], 0, "NOT AUDITED, unknown to the database: unknown"),
        ([UNKNOWN], 3, ""),
        (None, 3, ""),
    ],
)
def test_a_report_is_judged(tmp_path: Path, packages: Any, status: int, said: str) -> None:
    report = tmp_path / "report.json"
    report.write_text("" if packages is None else json.dumps({"dependencies": packages}))
    command: list[str | Path] = [sys.executable, ROOT / ".ci" / "judge_audit.py", report]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert said in done.stdout + done.stderr
