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
    from datetime import UTC, datetime

    from modelog.provenance.envelopes import seal
    from modelog.provenance.keys import private_key
    from modelog.provenance.statements import training

    version = _version(state, request.name)
    password = values["password_file"].read_text().rstrip("\n") if values["password_file"] else ""
    key = private_key(values["key"].read_bytes(), password)
    builder = values["builder"] or f"modelog:{version.author}"
    request.envelope = seal(training(version, builder=builder, now=datetime.now(UTC)), key)


def _version(state: State, name: str) -> Any:
    from modelog.registry.v1.registry_service_pb2 import GetVersionRequest

    return state.call("registry.GetVersion", GetVersionRequest(name=name))


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
    from modelog.sdk import pages

    state = state_of(ctx)
    version = _version(state, name)
    trusted = _trusted(state, name, keys)
    request = ListProvenanceRequest(name=name)
    listed = list(pages(state.stub("registry.ListProvenance", request), request))
    found = [_verified(one, version, trusted) for one in listed]
    same = path is None or _digest(path) == version.artifact.sha256
    good = same and any(one["signedBy"] and one["aboutTheArtifact"] for one in found)
    if state.as_json:
        render.print_json({"verified": good, "fileIsTheArtifact": same if path else None, "statements": found})
        return 0 if good else UNVERIFIED
    if found:
        rows = [[str(one["number"]), one["predicateType"], ", ".join(one["signedBy"]), one["problem"]] for one in found]
        render.table(["number", "statement", "signed by", "problem"], rows)
    if not same:
        click.echo(f"{path} is not the artifact of {name}: its digest is another", err=True)
    render.table(["outcome"], [[Cell("verified", "green") if good else Cell("NOT verified", "red")]])
    return 0 if good else UNVERIFIED


def _trusted(state: State, name: str, files: tuple[Path, ...]) -> list[Any]:
    from modelog.provenance.keys import public_key
    from modelog.registry.v1.registry_service_pb2 import GetProjectRequest

    if files:
        return [public_key(path.read_text()) for path in files]
    project = state.call("registry.GetProject", GetProjectRequest(name="/".join(name.split("/")[:2])))
    return [public_key(one.public_key) for one in project.trusted_keys.values() if not one.revoked_by]


def _verified(one: Any, version: Any, trusted: list[Any]) -> dict[str, Any]:
    """What is found out about a statement from its bytes alone; what the registry says of it is not believed."""
    from modelog.provenance.envelopes import BadEnvelope, opened
    from modelog.provenance.statements import read

    told: dict[str, Any] = {"number": one.provenance.number, "predicateType": "", "signedBy": [], "problem": ""}
    told["aboutTheArtifact"] = False
    try:
        envelope = opened(one.envelope)
        statement = read(envelope.payload)
    except BadEnvelope as error:
        return told | {"problem": str(error)}
    about = statement.is_about(version.artifact.sha256, version.artifact.files)
    signers = [key.id for key in envelope.signed_by(trusted)]
    problem = "" if signers else "no trusted key has signed it"
    return told | {
        "predicateType": statement.predicate_type,
        "signedBy": signers,
        "aboutTheArtifact": about,
        "problem": problem if about else "it is about another artifact",
    }


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
    from modelog.registry.v1.registry_service_pb2 import GetProjectRequest

    state = state_of(ctx)
    found = sorted(state.call("registry.GetProject", GetProjectRequest(name=name)).trusted_keys.items())
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
