"""Verifies a bundle: the facts lead to the signed root, follow each other, and every proof holds."""

import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from modelog.audit.align import compare
from modelog.audit.bundle import Bundle, header, payloads
from modelog.audit.keys import Keys, WitnessKey
from modelog.audit.note import BadNote, Checkpoint, Verifies, open_checkpoint
from modelog.audit.proof import verify_leaf
from modelog.audit.report import Report
from modelog.audit.tree import Tree, leaf_hash, push_left, push_right


def verify(bundle: str | Path, vkey: str, seen: Iterable[str] = (), witness: str = "") -> Report:
    """Checks a bundle against the log's public key and against checkpoints (notes) that the auditor has `seen` before.

    vkey: any key the log has had; the others follow from it. witness: the vkey of one that must have vouched for it.
    Never raises for what is in the file: everything wrong becomes a finding of the report.
    """
    report = Report()
    try:
        Keys(vkey)
        vouching = WitnessKey(witness) if witness else None
        opened = Bundle(Path(bundle), report)
    except BadNote as bad:
        report.found("BAD_SIGNATURE", str(bad))
        return report
    except (tarfile.TarError, OSError) as error:
        report.found("FILE_UNREADABLE", f"not a bundle: {error}")
        return report
    try:
        opened.compare_with_manifest()
        if opened.says_what_is_inside():
            _verify(opened, Keys(vkey, opened.rotations()), report, list(seen))
        if vouching:
            _vouched(opened.text("checkpoint"), vouching, report)
    finally:
        opened.close()
    return report


def _verify(bundle: Bundle, key: Verifies, report: Report, seen: Sequence[str]) -> None:
    signed = _checkpoint(bundle.text("checkpoint"), key, report, "checkpoint")
    heads = [_checkpoint(bundle.text(name), key, report, name) for name in bundle.names("checkpoints/")]
    heads += [_checkpoint(note, key, report, f"seen checkpoint {at}") for at, note in enumerate(seen, 1)]
    joined = b"".join(bundle.read(name) for name in bundle.names("log/leaves-"))
    leaves = [joined[at : at + 32] for at in range(0, len(joined), 32)]
    entries = _entries(bundle, leaves, report)
    if signed:
        report.origin, report.size, report.root = signed.origin, signed.size, signed.root.hex()
        if signed.size != bundle.size:
            text = f"the checkpoint is of size {signed.size}, the bundle was made for {bundle.size}"
            report.found("WRONG_CHECKPOINT", text, file="checkpoint")
    _compare_heads(bundle, {head for head in (signed, *heads) if head}, leaves, entries, report)
    if entries != leaves:
        compare(leaves, entries, report.from_revision, report)
    elif len(entries) != report.to_revision - report.from_revision + 1:
        end = report.from_revision + len(entries)
        report.found("LOG_CUT", f"the facts end before revision {end}, not at {report.to_revision}", revision=end)
    _proofs(bundle, entries, key, report)


def _vouched(note: str, witness: WitnessKey, report: Report) -> None:
    try:
        report.witnessed = witness.time(note)
    except ValueError as bad:
        report.found("NOT_WITNESSED", str(bad), file="checkpoint")


def _checkpoint(note: str, key: Verifies, report: Report, name: str) -> Checkpoint | None:
    try:
        checkpoint = open_checkpoint(note, key)
    except BadNote as bad:
        report.found("BAD_SIGNATURE", f"{name}: {bad}", file=name)
        return None
    report.checkpoints += 1
    return checkpoint


def _entries(bundle: Bundle, leaves: Sequence[bytes], report: Report) -> list[bytes]:
    """Leaf hashes of the facts themselves; checks on the way that those of one resource follow each other."""
    known, hashes, revision = set(leaves), [], report.from_revision
    generations: dict[str, int] = {}
    for name in bundle.names("log/entries-"):
        for payload in payloads(bundle.read(name), known):
            hashes.append(leaf_hash(payload))
            if found := header(payload):
                resource, generation = found
                before = generations.get(resource, 0 if report.from_revision == 1 else generation - 1)
                if generation != before + 1:
                    text = f"{resource}: generation {generation} follows {before}"
                    report.found("BROKEN_GENERATIONS", text, revision=revision, file=name)
                generations[resource] = generation
            else:
                report.unreadable += 1
            revision += 1
    report.entries = len(hashes)
    return hashes


def _compare_heads(
    bundle: Bundle, heads: set[Checkpoint], leaves: Sequence[bytes], entries: Sequence[bytes], report: Report
) -> None:
    ordered = sorted(heads, key=lambda head: head.size)
    sizes = {head.size for head in ordered}
    try:
        end, roots = _roots(bundle, leaves, sizes, report)
    except (ValueError, TypeError, KeyError) as error:
        report.found("FILE_UNREADABLE", f"what stands beside the facts does not fit: {error}", file="log/edges.json")
        return
    for head in ordered:
        if head.size > end:
            text = f"a root over {head.size} facts was signed, here they end at {end}"
            report.found("LOG_CUT", text, revision=end + 1)
        elif head.size not in roots:
            report.notes.append(f"the checkpoint of size {head.size} lies outside this range and was not compared")
    compared = [head for head in ordered if head.size in roots]
    wrong = [head for head in compared if roots[head.size] != head.root]
    if not wrong:
        return
    if entries != leaves:
        _, told = _roots(bundle, entries, sizes, report)
        if all(told.get(head.size) == head.root for head in compared):
            report.found("LEAVES_CHANGED", "the facts lead to the signed root, the list of their hashes does not")
            return
    agreed = max((head.size for head in compared if head.size < wrong[0].size), default=0)
    text = f"the facts do not lead to the root signed at size {wrong[0].size}"
    text += f"; up to revision {agreed} they do" if agreed else ""
    report.found("WRONG_ROOT", text, revision=agreed + 1 if agreed else 0)


def _roots(bundle: Bundle, hashes: Sequence[bytes], sizes: set[int], report: Report) -> tuple[int, dict[int, bytes]]:
    """How far the tree goes, and its root at each of `sizes` that can be told from what is inside."""
    edges, tree, roots = bundle.edges(), Tree(), {}
    push_left(tree, edges["left"], report.from_revision - 1)
    for part in (None, *hashes):
        if part is not None:
            tree.push(part)
        if tree.size in sizes:
            roots[tree.size] = tree.root()
    if tree.size == report.to_revision:
        push_right(tree, edges["right"], bundle.size)
        roots[tree.size] = tree.root()
    return tree.size, roots


def _proofs(bundle: Bundle, entries: Sequence[bytes], key: Verifies, report: Report) -> None:
    for name in bundle.names("proofs/"):
        number = name.removeprefix("proofs/").removesuffix(".tlog-proof")
        place = int(number) - report.from_revision if number.isdecimal() else -1
        if not 0 <= place < len(entries):
            report.found("BAD_PROOF", f"{name} speaks of no fact of this bundle", file=name)
        elif verify_leaf(entries[place], bundle.text(name), key, report, name) not in (0, int(number)):
            report.found("BAD_PROOF", f"{name} speaks of another revision", revision=int(number), file=name)
