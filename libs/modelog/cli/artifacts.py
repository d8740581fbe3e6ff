"""Files of versions: looked through, put into a store, fetched again; and the code and the versions behind them."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell
from modelog.cli.failures import UNVERIFIED
from modelog.cli.names import Name
from modelog.cli.progress import transfer
from modelog.cli.state import Command, Noun, State, state_of
from modelog.cli.verbs import arg, verb

if TYPE_CHECKING:
    from modelog.sdk.store import Store

_STORE_HELP = "A folder, or an address like s3://bucket/prefix. [MODELOG_STORE, else what the services read]"
_RATINGS = {1: Cell("listed", "green"), 2: Cell("unlisted", "yellow"), 3: Cell("dangerous", "red")}
_VERDICTS = {1: Cell("clean", "green"), 2: Cell("unlisted", "yellow"), 3: Cell("dangerous", "red")}
_INCOMPLETE = Cell("incomplete", "red")
_ACCEPTABLE = (1, 2)
_MOST_ANCESTORS = 64
_SIGNATURE = "modelog.signature"
_MOST_SHOWN = 500

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
REGISTER = (
    click.Option(["--format", "artifact_format"], help="Else what the content and the name tell."),
    click.Option(["--store"], help=_STORE_HELP),
    click.Option(["--uri"], help="Where the file is kept, when it shall not be put into a store."),
    click.Option(["--model-signature"], type=_FILE, help="An OpenSSF model signature. [model.sig in a folder]"),
    click.Option(["--code"], type=click.Path(exists=True), help="The training code. [the working tree here]"),
    click.Option(["--no-git"], is_flag=True, help="Do not record the commit of the working tree."),
)


def register(state: State, request: Any, values: dict[str, Any]) -> None:
    """Fills in the artifact and the code that made it; what would be refused is refused before anything is sent."""
    from modelog.sdk.store_transfer import described, put

    path, kind = values["file"], values["artifact_format"] or ""
    _source(request, values)
    with transfer("reading", shown=not state.as_json) as progress:
        request.artifact.CopyFrom(described(path, artifact_format=kind, progress=progress))
    _signature(request, values["model_signature"] or (path / "model.sig" if path.is_dir() else None))
    if values["uri"]:
        request.artifact.uri = values["uri"]
        return
    store = _store(values["store"], dry=values["validate_only"])
    if store is None:
        request.artifact.uri = f"cas:sha256/{request.artifact.sha256}"
        return
    request.artifact.uri = store.uri(request.artifact.sha256)
    asking = type(request)()
    asking.CopyFrom(request)
    asking.validate_only, asking.request_id = True, ""
    state.call("registry.RegisterVersion", asking)
    with transfer("storing", shown=not state.as_json) as progress:
        put(path, request.artifact, store, progress=progress)


def _signature(request: Any, path: Path | None) -> None:
    """Keeps a model signature for `registered`; ValueError when it is not one of these very files."""
    from modelog.provenance.envelopes import BadEnvelope, opened
    from modelog.provenance.statements import read

    if path is None or not path.is_file():
        return
    bundle = path.read_bytes()
    try:
        about = read(opened(bundle).payload).is_about(request.artifact.sha256, request.artifact.files)
    except BadEnvelope as error:
        raise ValueError(f"{path} is no model signature: {error}") from error
    if not about:
        raise ValueError(f"{path} was not made for these files; sign them again, or take it out of the way")
    click.get_current_context().meta[_SIGNATURE] = bundle


def registered(state: State, reply: Any) -> None:
    """The reply, after a model signature that lay beside the files was recorded too."""
    from modelog.registry.v1.artifacts_pb2 import PROVENANCE_OUTCOME_VERIFIED, RecordProvenanceRequest

    bundle = click.get_current_context().meta.get(_SIGNATURE)
    if bundle and reply.revision:
        done = state.call("registry.RecordProvenance", RecordProvenanceRequest(name=reply.name, envelope=bundle))
        verified = done.provenance.outcome == PROVENANCE_OUTCOME_VERIFIED
        word = "by a key that the project trusts" if verified else "by no key that the project trusts"
        click.echo(f"note: its model signature was recorded; it is signed {word}", err=True)
    render.reply(reply, as_json=state.as_json, dry=not reply.revision)


def _store(address: str | None, *, dry: bool) -> "Store | None":
    from modelog.sdk.store import open_store

    return None if dry else open_store(address)


def _source(request: Any, values: dict[str, Any]) -> None:
    """The commit of the code that is named, or of the working tree that one stands in, if one does."""
    from modelog.sdk.git import git_source, source_around

    if values["no_git"]:
        return
    source = git_source(values["code"]) if values["code"] else source_around(Path.cwd())
    if source is None:
        return
    request.source.CopyFrom(source)
    if source.dirty:
        click.echo("note: the working tree has changes that are not committed; this is recorded", err=True)


artifacts = Noun("artifacts", help="Files of models, before they are registered. Nothing in them is ever loaded.")


@artifacts.command("scan", short_help="What a file is, and what its pickles name.")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.pass_context
def _scan(ctx: click.Context, path: Path) -> int:
    """What a file or folder is, and what its pickles name; exit status 7 when they are not to be loaded."""
    from modelog.sdk.store_transfer import described

    state = state_of(ctx)
    with transfer("reading", shown=not state.as_json) as progress:
        artifact = described(path, progress=progress)
    scan = artifact.scan if artifact.HasField("scan") else None
    if state.as_json:
        render.print_json(render.plain(artifact))
    else:
        _show(artifact, scan)
    return 0 if scan is None or scan.verdict in _ACCEPTABLE else UNVERIFIED


def _show(artifact: Any, scan: Any) -> None:
    if scan is not None and scan.globals:
        rows: list[list[Cell | str]] = [
            [_RATINGS.get(one.rating, Cell("")), f"{one.module}.{one.name}"] for one in scan.globals
        ]
        render.table(["rating", "global"], rows)
    verdict = Cell("no pickles", "green") if scan is None else _VERDICTS.get(scan.verdict, _INCOMPLETE)
    row = [verdict, artifact.format, " ".join(artifact.contained_formats), str(artifact.size_bytes), artifact.sha256]
    render.table(["verdict", "format", "inside", "bytes", "sha256"], [row])
    if scan is not None and scan.detail:
        click.echo(f"note: {scan.detail}", err=True)


@click.command("download", cls=Command, short_help="Fetch the artifact of a version.")
@click.argument("name", type=Name("version"))
@click.option("--out", type=click.Path(path_type=Path), help="File or folder to write. [MODEL-NUMBER.FORMAT]")
@click.option("--store", help="Where to look in place of where the version says.")
@click.option("--force", is_flag=True, help="Replace what is there.")
@click.pass_context
def download(ctx: click.Context, name: str, out: Path | None, store: str | None, force: bool) -> None:
    """Fetch the artifact of a version; it appears only once its digest is right."""
    from modelog.sdk import download_artifact

    state = state_of(ctx)
    version = state.version(name)
    target = out or Path(_file_name(version))
    with transfer("fetching", shown=not state.as_json) as progress:
        download_artifact(version, target, store=store, force=force, progress=progress)
    told = {"path": str(target), "sha256": version.artifact.sha256, "sizeBytes": str(version.artifact.size_bytes)}
    if state.as_json:
        return render.print_json(told)
    return click.echo(f"{target}: {told['sizeBytes']} bytes, sha256 {told['sha256']} verified")


def _file_name(version: Any) -> str:
    """`fraud-3.onnx`; what a format is called is not believed to be part of a name unless it is one word."""
    parts = version.name.split("/")
    kind = version.artifact.format
    suffix = f".{kind}" if kind.isalnum() and kind.isascii() and not version.artifact.files else ""
    return f"{parts[3]}-{parts[5]}{suffix}"


@click.command("checkout", cls=Command, short_help="Restore the code that made a version.")
@click.argument("name", type=Name("version"))
@click.option("--into", type=click.Path(path_type=Path), help="New folder to put it into. [MODEL-NUMBER-code]")
@click.pass_context
def checkout(ctx: click.Context, name: str, into: Path | None) -> None:
    """Restore the code that made a version in a new folder: a worktree where the commit is known, else a clone."""
    from modelog.sdk.git import checkout as restore

    state = state_of(ctx)
    version = state.version(name)
    parts = version.name.split("/")
    source = version.source
    folder = restore(source, into or Path(f"{parts[3]}-{parts[5]}-code"))
    if source.dirty:
        click.echo("note: the code had further changes that were not committed; they are lost", err=True)
    told = {"path": str(folder / source.path), "commit": source.commit, "dirty": source.dirty}
    if state.as_json:
        return render.print_json(told)
    return click.echo(f"{told['path']}: commit {source.commit}")


@click.command("lineage", cls=Command, short_help="Where a version comes from and what came of it, as a tree.")
@click.argument("name", type=Name("version"))
@click.pass_context
def lineage(ctx: click.Context, name: str) -> None:
    """Where a version comes from and what came of it, as a tree; what you may not read is left out."""
    state = state_of(ctx)
    chain = list(_ancestors(state, name))
    top = chain[-1]
    budget = [_MOST_SHOWN]
    tree = _below(state, top["name"], top["how"], budget)
    if state.as_json:
        return render.print_json(tree)
    for line in _lines(tree, name):
        click.echo(line)
    if budget[0] <= 0:
        click.echo(f"only the first {_MOST_SHOWN} are shown", err=True)
    return None


def _ancestors(state: State, name: str) -> Iterator[dict[str, str]]:
    """The version, what it was derived from, and so on, as far as the caller may see."""
    from modelog.sdk import Denied, NotFound

    seen: set[str] = set()
    while name and name not in seen and len(seen) < _MOST_ANCESTORS:
        try:
            version = state.version(name)
        except (Denied, NotFound):
            if not seen:
                raise
            return
        seen.add(name)
        hidden = version.copied_from.version or version.parent_version
        yield {"name": name, "how": f"from {hidden}" if hidden else ""}
        name = hidden


def _below(state: State, name: str, how: str, budget: list[int]) -> dict[str, Any]:
    """A version with all that was derived from it, nearest first, as long as the budget of versions lasts."""
    from modelog.registry.v1.artifacts_pb2 import DERIVATION_COPY, ListDerivedVersionsRequest
    from modelog.sdk import pages

    budget[0] -= 1
    derived = []
    if budget[0] > 0:
        request = ListDerivedVersionsRequest(name=name, page_size=500)
        for one in pages(state.stub("registry.ListDerivedVersions", request), request):
            if budget[0] <= 0:
                break
            kind = "copy" if one.derivation == DERIVATION_COPY else "child"
            derived.append(_below(state, one.name, kind, budget))
    return {"name": name, "how": how, "derived": derived}


def _lines(tree: dict[str, Any], marked: str, before: str = "", branch: str = "") -> Iterator[str]:
    how = f" ({tree['how']})" if tree["how"] else ""
    short = "/".join(tree["name"].split("/")[1::2])
    yield f"{before}{branch}{short}{how}{' *' if tree['name'] == marked else ''}"
    deeper = before + {"": "", "├── ": "│   ", "└── ": "    "}[branch]
    for place, one in enumerate(tree["derived"]):
        last = place == len(tree["derived"]) - 1
        yield from _lines(one, marked, deeper, "└── " if last else "├── ")


COMMANDS = [
    download,
    checkout,
    verb(
        "copy",
        "registry.CopyVersion",
        "Take a version into another model or project; the copy says where it came from.",
        arg("source", "version"),
        arg("parent", "model"),
    ),
    verb(
        "derived", "registry.ListDerivedVersions", "What was derived directly from a version.", arg("name", "version")
    ),
    lineage,
]
