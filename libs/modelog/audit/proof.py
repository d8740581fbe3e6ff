"""One fact's proof (C2SP tlog-proof): that exactly this payload stands at exactly this place of a signed log."""

from modelog.audit.note import BadNote, Key, Verifies, decode64, open_checkpoint
from modelog.audit.report import Report
from modelog.audit.tree import leaf_hash, root_by_path

_HEADER = "c2sp.org/tlog-proof@v1"


def verify_fact(payload: bytes, proof: str, vkey: str) -> Report:
    """Checks the stored bytes of one fact against its .tlog-proof text, offline."""
    report = Report(entries=1)
    try:
        key = Key(vkey)
    except BadNote as bad:
        report.found("BAD_SIGNATURE", str(bad))
        return report
    verify_leaf(leaf_hash(payload), proof, key, report)
    return report


def verify_leaf(leaf: bytes, proof: str, key: Verifies, report: Report, file: str = "") -> int:
    """Checks one leaf hash against a proof, adds to the report and returns the revision it names (0: unreadable)."""
    try:
        index, path, note = _parse(proof)
    except ValueError as error:
        report.found("BAD_PROOF", str(error), file=file)
        return 0
    revision = index + 1
    try:
        checkpoint = open_checkpoint(note, key)
        right = root_by_path(index, checkpoint.size, leaf, path) == checkpoint.root
    except BadNote as bad:
        report.found("BAD_SIGNATURE", str(bad), file=file)
    except ValueError as error:
        report.found("BAD_PROOF", f"revision {revision}: {error}", revision=revision, file=file)
    else:
        report.proofs += 1
        if not report.size:
            report.origin, report.size, report.root = checkpoint.origin, checkpoint.size, checkpoint.root.hex()
            report.from_revision = report.to_revision = revision
        if not right:
            text = f"this payload is not what stands at revision {revision}"
            report.found("BAD_PROOF", text, revision=revision, file=file)
    return revision


def _parse(text: str) -> tuple[int, list[bytes], str]:
    head, gap, note = text.partition("\n\n")
    lines = head.split("\n")
    if not gap or lines.pop(0) != _HEADER:
        raise ValueError(f"not a {_HEADER} file")
    if lines and lines[0].startswith("extra "):
        lines.pop(0)
    word, _, number = lines.pop(0).partition(" ") if lines else ("", "", "")
    if word != "index" or not number.isdecimal():
        raise ValueError("the proof has no index")
    path = [decode64(line) for line in lines]
    if any(len(part) != 32 for part in path):
        raise ValueError("a hash of the proof is not 32 bytes")
    return int(number), path, note
