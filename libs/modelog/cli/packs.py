"""Evidence packs: signed folders for people who were not there, and checking them where nothing runs."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelog.cli import render
from modelog.cli.names import Name
from modelog.cli.state import Noun, State, moment, state_of, time_of
from modelog.cli.text import clean
from modelog.cli.values import text_of

if TYPE_CHECKING:
    from modelog.packs.parts import Content
    from modelog.packs.reading import Reading
    from modelog.provenance.keys import Key

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_RISK_TAG = "risk_class"

pack = Noun("pack", help="Evidence packs: one signed folder to read in a browser, with the data and proofs beside.")


def _made(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every pack that is made."""
    for one in (
        click.option("--size", type=click.IntRange(1), help="Of the checkpoint to prove by. [first that covers]"),
        click.option("--password-file", type=_FILE, help="Holds the password of the key."),
        click.option("--sign-with", required=True, type=_FILE, help="Private key (PEM) that signs; see `keys make`."),
        click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder to make."),
    ):
        command = one(command)
    return command


_FROM = click.option("--from", "since", metavar="TIME", default="", help="Recorded at or after. [the beginning]")
_TO = click.option("--to", "until", metavar="TIME", default="", help="Recorded before. [now]")


@pack.command("inventory")
@click.argument("projects", nargs=-1, type=Name("project"))
@click.option("--risk-tag", default=_RISK_TAG, show_default=True, help="Tag or property that holds the class of risk.")
@_made
@click.pass_context
def _inventory(ctx: click.Context, /, projects: tuple[str, ...], risk_tag: str, **given: Any) -> None:
    """The model inventory of projects, or of all: now, or with --at as of a moment."""
    from modelog.packs.inventory import inventory

    state, at = _moment(ctx)
    _make(state, at, projects, lambda reading: inventory(reading, projects, risk_tag=risk_tag), given)


@pack.command("model")
@click.argument("model", type=Name("model"))
@_made
@click.pass_context
def _model(ctx: click.Context, /, model: str, **given: Any) -> None:
    """One model's whole life: now, or with --at as of a moment."""
    from modelog.packs.life import life

    state, at = _moment(ctx)
    _make(state, at, [model.partition("/models/")[0]], lambda reading: life(reading, model), given)


@pack.command("ai-act")
@click.argument("resource")
@_FROM
@_TO
@_made
@click.pass_context
def _ai_act(ctx: click.Context, /, resource: str, since: str, until: str, **given: Any) -> None:
    """The log of an endpoint or a model, by its full name, over a period by the points of Article 12 of the AI Act."""
    from modelog.packs.system import system_log

    parts = resource.split("/")
    if len(parts) != 4 or parts[0] != "projects" or parts[2] not in ("models", "endpoints") or not all(parts):
        raise click.UsageError("name a model or an endpoint in full: projects/risk/endpoints/fraud-eu")
    state, start, end = _period(ctx, since, until)
    project = "/".join(parts[:2])
    _make(state, end, [project], lambda reading: system_log(reading, resource, start, end), given)


@pack.command("access")
@click.argument("projects", nargs=-1, type=Name("project"))
@_FROM
@_TO
@_made
@click.pass_context
def _access(ctx: click.Context, /, projects: tuple[str, ...], since: str, until: str, **given: Any) -> None:
    """Who was granted what by whom, emergencies, who was refused, and who read history, over a period."""
    from modelog.packs.access import access_audit

    state, start, end = _period(ctx, since, until)
    _make(state, end, projects, lambda reading: access_audit(reading, projects, start, end), given)


@pack.command("verify")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--key", required=True, metavar="VKEY|@FILE", help="The log's public key, from a place you trust.")
@click.option("--signer", "signers", type=_FILE, multiple=True, required=True, help="Public key (PEM) of a signer.")
@click.option("--bundle", type=_FILE, help="The log from its beginning (`audit export`): that no fact was left out.")
@click.pass_context
def _verify(ctx: click.Context, folder: Path, key: str, signers: tuple[Path, ...], bundle: Path | None) -> int:
    """Check a pack offline: every file, signature and proof; exit status 7 when anything about it does not hold."""
    from modelog.cli.audit import report_of

    return report_of(state_of(ctx), checked(folder, key, [_public(path) for path in signers], bundle))


def checked(folder: Path, key: str, signers: "list[Key] | None", bundle: Path | None = None) -> Any:
    """The report on a pack. key: as typed; the oldest where several were told, for the others follow from it."""
    from modelog.packs.check import verify

    return verify(folder, (text_of(key).split() or [""])[0], signers, bundle or "")


def _public(path: Path) -> "Key":
    from modelog.provenance.keys import BadKey, public_key

    try:
        return public_key(path.read_text(encoding="utf-8", errors="replace"))
    except BadKey as bad:
        raise click.UsageError(f"{path}: {bad}") from bad


def _moment(ctx: click.Context) -> tuple[State, int | datetime | None]:
    """--at is when the pack is of; it is not for the calls that find the moment and the proofs."""
    state = state_of(ctx)
    at = moment(state.at) if state.at else None
    if isinstance(at, datetime) and at > datetime.now(UTC):
        raise click.UsageError("--at is still to come, and what is recorded until then too")
    state.at = ""
    return state, at


def _period(ctx: click.Context, since: str, until: str) -> tuple[State, datetime, datetime]:
    state = state_of(ctx)
    if state.at:
        raise click.UsageError("say the period with --from and --to; --at is for inventories and models")
    now = datetime.now(UTC)
    start = time_of(since, "--from") if since else datetime(1970, 1, 1, tzinfo=UTC)
    end = time_of(until, "--to") if until else now
    if not start < end <= now:
        raise click.UsageError("the period has to begin before it ends, and to be over by now")
    return state, start, end


def _make(
    state: State,
    at: int | datetime | None,
    projects: Sequence[str],
    compose: "Callable[[Reading], Content]",
    given: dict[str, Any],
) -> None:
    from modelog.cli.progress import bar
    from modelog.packs.making import make
    from modelog.packs.reading import NothingThere
    from modelog.provenance.keys import BadKey, private_key

    try:
        key = private_key(given["sign_with"].read_bytes(), _password(given["password_file"]))
        with bar(shown=not state.as_json) as tell:
            made = make(
                state.client(),
                at,
                projects,
                compose,
                given["out"],
                key,
                size=given["size"] or 0,
                progress=lambda done, total: tell("proving facts", done, total),
            )
    except (BadKey, NothingThere, FileExistsError) as error:
        raise click.UsageError(str(error)) from error
    if state.as_json:
        return render.print_json(made)
    told = f"{given['out']}: {made['files']} files, {made['facts']} facts as of revision {made['revision']}"
    return click.echo(clean(f"{told}, proved by the checkpoint of size {made['size']}; open index.html"))


def _password(file: Path | None) -> str:
    return file.read_text(encoding="utf-8").rstrip("\n") if file else ""
