"""Signed statements about versions, and the keys that a project trusts to sign them."""

from pathlib import Path
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell
from modelog.cli.failures import UNVERIFIED
from modelog.cli.names import Name
from modelog.cli.state import Command, Noun, State, state_of
from modelog.cli.verbs import arg, opt, verb

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_ATTEST = (
    click.Option(["--key"], type=_FILE, help="Private key (PEM) that signs what is known of the training."),
    click.Option(["--password-file"], type=_FILE, help="Holds the password of the key."),
    click.Option(["--builder"], help="Who trained it, a URI: for example the run of a pipeline. [you]"),
    click.Option(["--envelope"], type=_FILE, help="A statement that is signed already: DSSE, or a model signature."),
)


def _attest(state: State, request: Any, values: dict[str, Any]) -> None:
    """The envelope: as given, or made of what the registry knows of the version and signed here."""
    if bool(values["key"]) == bool(values["envelope"]):
        raise click.UsageError("say --key to sign a statement, or --envelope to hand in one that is signed")
    if values["envelope"]:
        request.envelope = values["envelope"].read_bytes()
        return
    from modelog.sdk import sign_provenance

    password = values["password_file"].read_text().rstrip("\n") if values["password_file"] else ""
    version = state.version(request.name)
    request.envelope = sign_provenance(version, values["key"], builder=values["builder"] or "", password=password)


def _statements(items: Any) -> None:
    render.rows([one.provenance for one in items])


@click.command("verify", cls=Command, short_help="Verify the signed statements of a version once more, here.")
@click.argument("name", type=Name("version"))
@click.option("--key", "keys", type=_FILE, multiple=True, help="Public key (PEM). [those the project trusts now]")
@click.option("--file", "path", type=click.Path(exists=True, path_type=Path), help="The artifact itself, compared too.")
@click.pass_context
def verify(ctx: click.Context, name: str, keys: tuple[Path, ...], path: Path | None) -> int:
    """Verify the signed statements of a version once more, here; exit status 7 when no trusted key has signed one."""
    from modelog.registry.v1.artifacts_pb2 import ListProvenanceRequest
    from modelog.sdk import pages, verify_provenance

    state = state_of(ctx)
    version = state.version(name)
    trusted = _trusted(state, name, keys)
    request = ListProvenanceRequest(name=name)
    listed = list(pages(state.stub("registry.ListProvenance", request), request))
    found = [(one.provenance.number, verify_provenance(one, version, trusted)) for one in listed]
    same = path is None or _digest(path) == version.artifact.sha256
    good = same and any(one.good for _, one in found)
    if state.as_json:
        told = [{"number": number, **_plain(one)} for number, one in found]
        render.print_json({"verified": good, "fileIsTheArtifact": same if path else None, "statements": told})
        return 0 if good else UNVERIFIED
    if found:
        rows = [[str(number), one.predicate_type, ", ".join(one.signed_by), one.problem] for number, one in found]
        render.table(["number", "statement", "signed by", "problem"], rows)
    if not same:
        click.echo(f"{path} is not the artifact of {name}: its digest is another", err=True)
    render.table(["outcome"], [[Cell("verified", "green") if good else Cell("NOT verified", "red")]])
    return 0 if good else UNVERIFIED


def _plain(one: Any) -> dict[str, Any]:
    return {
        "predicateType": one.predicate_type,
        "signedBy": list(one.signed_by),
        "aboutTheArtifact": one.about_the_artifact,
        "problem": one.problem,
    }


def _trusted(state: State, name: str, files: tuple[Path, ...]) -> list[Any]:
    from modelog.provenance.keys import public_key

    if files:
        return [public_key(path.read_text()) for path in files]
    project = state.project("/".join(name.split("/")[:2]))
    return [public_key(one.public_key) for one in project.trusted_keys.values() if not one.revoked_by]


def _digest(path: Path) -> str:
    from modelog.sdk.store_transfer import described

    return described(path).sha256


def _public(_state: State, request: Any, values: dict[str, Any]) -> None:
    request.public_key = values["file"].read_text()


keys = Noun(
    "keys",
    help="Keys whose signatures a project believes.",
    commands=[
        verb(
            "add",
            "registry.AddTrustedKey",
            "Believe the signatures of a key from now on.",
            arg("name", "project"),
            opt("description", "Whose it is and what for."),
            extra=(click.Argument(["file"], type=_FILE),),
            prepare=_public,
        ),
        verb(
            "revoke",
            "registry.RevokeTrustedKey",
            "Do not believe a key any more, nor what it signed before.",
            arg("name", "project"),
            arg("key_id"),
        ),
    ],
)


@keys.command("list", short_help="The keys of a project, revoked ones too.")
@click.argument("name", type=Name("project"))
@click.pass_context
def _list(ctx: click.Context, name: str) -> None:
    """The keys of a project, revoked ones too."""

    state = state_of(ctx)
    found = sorted(state.project(name).trusted_keys.items())
    if state.as_json:
        return render.print_json([{"keyId": key_id, **render.plain(one)} for key_id, one in found])
    rows = [
        [key_id, one.algorithm, one.description, one.added_by, Cell("revoked", "red") if one.revoked_by else "trusted"]
        for key_id, one in found
    ]
    return render.table(["key", "algorithm", "description", "added by", "state"], rows)


@keys.command("make", short_help="Make an Ed25519 key to sign with.")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_context
def _make(ctx: click.Context, file: Path) -> None:
    """Make an Ed25519 key to sign with: FILE is the private one, for you alone, and FILE.pub the one to hand out."""
    import os

    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from modelog.provenance.keys import key_of

    made = Ed25519PrivateKey.generate()
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key_of(made.public_key())
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as writing:
        writing.write(pem)
    shown = file.with_name(f"{file.name}.pub")
    shown.write_text(public.pem)
    if state_of(ctx).as_json:
        return render.print_json({"privateKey": str(file), "publicKey": str(shown), "keyId": public.id})
    return click.echo(f"{file}: keep it to yourself\n{shown}: key {public.id}")


COMMANDS = [
    verb(
        "attest",
        "registry.RecordProvenance",
        "Record a signed statement about a version: how it was trained, or one that is signed already.",
        arg("name", "version"),
        extra=_ATTEST,
        prepare=_attest,
    ),
    verb(
        "provenance",
        "registry.ListProvenance",
        "The signed statements about a version.",
        arg("name", "version"),
        tabulate=_statements,
    ),
    verify,
]
