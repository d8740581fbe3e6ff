"""Evidence: exported bundles, signed roots of the log, proofs, and checking them without any server."""

import dataclasses
from pathlib import Path
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell
from modelog.cli.failures import UNVERIFIED
from modelog.cli.packs import checked, pack
from modelog.cli.scrubbing import scrub
from modelog.cli.state import Noun, State, state_of
from modelog.cli.values import text_of
from modelog.cli.verbs import arg, opt, verb

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _note(state: State, checkpoint: Any) -> None:
    """The signed text itself, so that it can be kept: an auditor compares later logs with it."""
    if state.as_json:
        render.print_json(render.plain(checkpoint))
    else:
        click.echo(checkpoint.note, nl=False)


def _keys(state: State, notary: Any) -> None:
    """The keys to verify with, one a line."""
    if state.as_json:
        return render.print_json(render.plain(notary))
    for key in notary.keys:
        click.echo(key.vkey)
    return None


audit = Noun(
    "audit",
    help="Packs, bundles, checkpoints and proofs. Keep `audit key` and checkpoints away from the log they speak of.",
    commands=[
        verb("key", "archive.GetNotary", "The public keys of the log, oldest first.", show=_keys),
        verb("notary", "archive.GetNotary", "Whether the log is signed, witnessed, copied and compared; up to where."),
        verb(
            "rotate-key",
            "archive.RotateLogKey",
            "Give the log a new key, which the old one introduces before it is destroyed.",
        ),
        scrub,
        verb(
            "checkpoint",
            "archive.GetCheckpoint",
            "A signed root of the log: the newest unless said.",
            opt("size", "The one of exactly this size."),
            opt("covering_revision", "The first that covers this revision.", flag="--covering"),
            opt("wait", "Wait for it when it is not signed yet."),
            show=_note,
        ),
        verb("checkpoints", "archive.ListCheckpoints", "Signed roots of the log, newest first."),
        verb(
            "consistency",
            "archive.GetConsistencyProof",
            "Proof that the log only grew between two sizes.",
            arg("from_size"),
            opt("to_size", "The newest checkpoint's when not given."),
        ),
        pack,
    ],
)


@audit.command("export")
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@click.option("--from", "from_revision", type=click.IntRange(1), help="First revision. [1]")
@click.option("--to", "to_revision", type=click.IntRange(1), help="Last revision; that of the newest checkpoint.")
@click.option("--proof", "proofs", type=click.IntRange(1), multiple=True, help="Put a proof of this revision inside.")
@click.pass_context
def _export(
    ctx: click.Context, file: Path, from_revision: int | None, to_revision: int | None, proofs: tuple[int, ...]
) -> None:
    """Write a bundle of facts, checkpoints and proofs that `audit verify` checks offline."""
    from modelog.archive.v1.archive_service_pb2 import ExportBundleRequest

    state = state_of(ctx)
    request = ExportBundleRequest(
        from_revision=from_revision or 0, to_revision=to_revision or 0, proof_revisions=proofs
    )
    part = file.with_name(f".{file.name}.part")
    try:
        with part.open("wb") as writing:
            for reply in state.call("archive.ExportBundle", request):
                writing.write(reply.chunk)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    size_bytes = file.stat().st_size
    if state.as_json:
        render.print_json({"file": str(file), "sizeBytes": str(size_bytes)})
    else:
        click.echo(f"{file}: {size_bytes} bytes")


@audit.command("proof")
@click.argument("revision", type=click.IntRange(1))
@click.option("--size", type=click.IntRange(1), help="Of the tree to lead to; the newest checkpoint's when not given.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the fact and its proof.")
@click.pass_context
def _proof(ctx: click.Context, revision: int, size: int | None, out: Path | None) -> None:
    """Proof that one fact is in the log, for `audit verify-fact`."""
    from modelog.archive.v1.archive_service_pb2 import GetInclusionProofRequest
    from modelog.packs.evidence import proof_text

    state = state_of(ctx)
    request = GetInclusionProofRequest(revision=revision, size=size or 0)
    proof = state.call("archive.GetInclusionProof", request)
    if state.as_json:
        return render.print_json(render.plain(proof))
    if not proof.HasField("checkpoint"):
        raise click.ClickException(f"no checkpoint of size {proof.head.size} was signed: see `audit checkpoints`")
    text = proof_text(proof, proof.checkpoint.note)
    if out is None:
        return click.echo(text, nl=False)
    out.mkdir(parents=True, exist_ok=True)
    for name, content in ((f"{revision}.fact", proof.payload), (f"{revision}.tlog-proof", text.encode())):
        (out / name).write_bytes(content)
        click.echo(out / name)
    return None


@audit.command("verify")
@click.argument("bundle", type=click.Path(exists=True, path_type=Path))
@click.option("--key", required=True, metavar="VKEY|@FILE", help="The log's public key, from a place you trust.")
@click.option("--seen", type=_FILE, multiple=True, help="A checkpoint that you kept from before.")
@click.option("--witness", default="", metavar="VKEY|@FILE", help="Public key of a witness that must have vouched.")
@click.pass_context
def _verify(ctx: click.Context, bundle: Path, key: str, seen: tuple[Path, ...], witness: str) -> int:
    """Check a bundle, or the evidence of a pack, offline; exit status 7 when anything about it does not hold."""
    from modelog.audit import verify

    if bundle.is_dir():
        if seen or witness:
            raise click.UsageError("--seen and --witness are for bundles: a pack has one checkpoint")
        return report_of(state_of(ctx), checked(bundle, key, None))
    notes = [path.read_text(encoding="utf-8") for path in seen]
    report = verify(bundle, _first(key), notes, text_of(witness).strip() if witness else "")
    return report_of(state_of(ctx), report)


@audit.command("verify-fact")
@click.argument("fact", type=_FILE)
@click.argument("proof", type=_FILE)
@click.option("--key", required=True, metavar="VKEY|@FILE", help="The log's public key, from a place you trust.")
@click.pass_context
def _verify_fact(ctx: click.Context, fact: Path, proof: Path, key: str) -> int:
    """Check one fact against its proof offline; exit status 7 when it does not hold."""
    from modelog.audit import verify_fact

    # A proof alone holds no note by which one key introduces the next, so each that was told is tried.
    keys = text_of(key).split() or [""]
    reports = [verify_fact(fact.read_bytes(), proof.read_text(encoding="utf-8"), one) for one in keys]
    return report_of(state_of(ctx), next((one for one in reports if one.ok), reports[-1]))


def _first(key: str) -> str:
    """The oldest key where `audit key` told several: the others follow from it."""
    return (text_of(key).split() or [""])[0]


def report_of(state: State, report: Any, checked: str = "") -> int:
    """What was checked and what was found. checked: in other words than those for bundles."""
    if state.as_json:
        render.print_json({"ok": report.ok, **dataclasses.asdict(report)})
        return 0 if report.ok else UNVERIFIED
    if report.findings:
        rows = [[Cell(one.code, "red"), str(one.revision or ""), one.message] for one in report.findings]
        render.table(["finding", "revision", "what is wrong"], rows)
    for note in report.notes:
        click.echo(f"note: {note}", err=True)
    if not checked:
        checked = f"facts {report.from_revision} to {report.to_revision}"
        checked += f", {report.checkpoints} checkpoints, {report.proofs} proofs"
    root = f"; root of {report.origin} at size {report.size}: {report.root}" if report.size else ""
    word = Cell("verified", "green") if report.ok else Cell("NOT verified", "red")
    render.table(["outcome", "what was checked"], [[word, checked + root]])
    return 0 if report.ok else UNVERIFIED
