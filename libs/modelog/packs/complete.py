"""Whether a pack has all facts that it says it rests on, by a bundle of the log: proofs alone cannot show that."""

import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelog.audit.bundle import Bundle, payloads
from modelog.audit.report import Report
from modelog.audit.verify import verify
from modelog.packs.scope import Selection
from modelog.sdk.facts import Entry


def complete(manifest: Mapping[str, Any], bundle: Path, vkey: str, report: Report) -> None:
    """Runs the selection of a pack's manifest over a verified bundle, and reports what the pack does not have."""
    checked = verify(bundle, vkey)
    for one in checked.findings:
        report.found(one.code, f"{bundle.name}: {one.message}", revision=one.revision, file=bundle.name)
    revision = manifest["revision"]
    if checked.from_revision != 1 or checked.to_revision < revision:
        text = f"{bundle.name} has facts {checked.from_revision} to {checked.to_revision}; export 1 to {revision}"
        report.found("FILE_UNEXPECTED", text, file=bundle.name)
        return
    if checked.findings:
        return
    try:
        selection = Selection.read(manifest["selection"])
    except (KeyError, ValueError, TypeError, AttributeError):
        report.found("NOT_A_PACK", "the manifest does not say how its facts were chosen", file="manifest.json")
        return
    chosen = selection.of(entry for entry in _entries(bundle) if entry.revision <= revision)
    for missing in sorted({entry.revision for entry in chosen} - set(manifest["facts"])):
        text = f"the log holds a fact of revision {missing} that belongs here"
        report.found("FACT_LEFT_OUT", text, revision=missing)


def _entries(path: Path) -> Iterator[Entry]:
    """All facts of a bundle that was verified and begins with the first."""
    try:
        bundle = Bundle(path, Report())
    except (tarfile.TarError, OSError):
        return
    try:
        revision = 0
        for name in bundle.names("log/entries-"):
            for payload in payloads(bundle.read(name), ()):
                revision += 1
                yield Entry(revision, "", payload)
    finally:
        bundle.close()
