"""The model card of a version, as a page for people or in the format of another tool."""

from pathlib import Path
from typing import Any

import click

from modelog.cli import render
from modelog.cli.failures import CONFLICT
from modelog.cli.names import Name
from modelog.cli.state import Command, State, state_of
from modelog.cli.text import clean

_FORMATS = ("markdown", "html", "json", "draft", "huggingface", "cyclonedx")
_BY_SUFFIX = {".html": "html", ".htm": "html", ".json": "json", ".md": "markdown"}


@click.command(cls=Command, method="registry.GetModelCard", short_help="The model card of a version.")
@click.argument("version", type=Name("version"))
@click.option("--format", "kind", type=click.Choice(_FORMATS), help="Else by the file's suffix; markdown.")
@click.option("--out", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Write it to this file.")
@click.option("--require", type=click.FloatRange(0, 1), help="Exit status 4 when less than this share is filled in.")
@click.pass_context
def card(ctx: click.Context, version: str, kind: str | None, out: Path | None, require: float | None) -> int:
    """Render the model card of a version; with --at as of any revision, always the same bytes.

    html is one file with charts and no scripts; draft is what people have to write, to fill in and give back with
    `versions describe --file`; huggingface is Markdown under the front matter of a model hub;
    cyclonedx is a machine-learning bill of materials (CycloneDX 1.6).
    """
    from modelog.card import render as rendered
    from modelog.registry.v1.cards_pb2 import GetModelCardRequest

    state = state_of(ctx)
    found = state.call("registry.GetModelCard", GetModelCardRequest(name=version))
    suffix = out.suffix.lower() if out else ""
    chosen = kind or ("json" if state.as_json else _BY_SUFFIX.get(suffix, "markdown"))
    text = rendered(found, chosen)
    if out is None:
        click.echo(text if state.as_json or chosen in ("json", "cyclonedx") else clean(text), nl=False)
    else:
        _write(out, text)
        _told(state, out, found)
    done = found.completeness
    if require is not None and done.share < require:
        click.echo(clean(f"{done.share:.0%} filled in; missing: {', '.join(done.missing)}"), err=True)
        return CONFLICT
    return 0


def _write(out: Path, text: str) -> None:
    """Whole or not at all."""
    part = out.with_name(f".{out.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(out)


def _told(state: State, out: Path, found: Any) -> None:
    done = found.completeness
    revision = found.as_of_revision
    if state.as_json:
        told = {"file": str(out), "asOfRevision": str(revision), "share": done.share, "missing": list(done.missing)}
        return render.print_json(told)
    missing = f"; missing: {', '.join(done.missing)}" if done.missing else ""
    return click.echo(clean(f"{out}: as of revision {revision}, {done.share:.0%} filled in{missing}"))
