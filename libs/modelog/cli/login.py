"""Who the caller is: logging in, and what a service makes of it."""

import json
import sys
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import time
from modelog.cli.state import Command, state_of
from modelog.sdk import logins, oauth
from modelog.sdk.errors import NotConfigured
from modelog.sdk.settings import SERVICES, nearest_suite

_CLIENT = "modelog-cli"
_ISSUER = click.argument("issuer", envvar="MODELOG_ISSUER", required=False, default="")


@click.command("login", cls=Command)
@_ISSUER
@click.option(
    "--client-id", envvar="MODELOG_CLIENT_ID", default=_CLIENT, show_default=True, help="As registered there."
)
@click.option("--scope", default="openid offline_access", show_default=True, help="What to ask for.")
@click.pass_context
def login(ctx: click.Context, issuer: str, client_id: str, scope: str) -> int:
    """Log in at ISSUER (MODELOG_ISSUER), an OpenID Connect provider, with a code on any device that has a browser.

    The tokens are kept in your folder for configuration, readable by you only, and renewed when they expire.
    """
    if not issuer:
        raise click.UsageError("say where: modelog login https://id.example.org")
    try:
        endpoints = oauth.discover(issuer)
        asked = oauth.ask_for_device(endpoints, client_id, scope)
        _tell(asked, as_json=state_of(ctx).as_json)
        granted = oauth.wait_for_device(endpoints, client_id, asked)
    except oauth.Failed as error:
        raise click.ClickException(_sentence(error)) from error
    logins.keep(logins.Login(issuer, client_id, endpoints.token, granted.token, granted.refresh_token))
    click.echo(f"logged in at {issuer}", err=True)
    return 0


@click.command("logout", cls=Command)
@_ISSUER
def logout(issuer: str) -> int:
    """Forget the tokens of ISSUER, or of all issuers."""
    for one in [issuer] if issuer else [known.issuer for known in logins.known()]:
        if logins.forget(one):
            click.echo(f"forgot the login at {one}", err=True)
    return 0


@click.command("whoami", cls=Command)
@click.option("--service", type=click.Choice(SERVICES), default="registry", show_default=True, help="Whom to ask.")
@click.pass_context
def whoami(ctx: click.Context, service: str) -> int:
    """Who a service takes you for, on whose behalf, how that was proved, and until when."""
    from modelog.status.v1.status_service_pb2 import WhoAmIRequest

    state = state_of(ctx)
    reply = state.client().status(service).WhoAmI(WhoAmIRequest())
    if state.as_json:
        render.print_json(render.plain(reply))
        return 0
    rows: list[list[Any]] = [["proved by", reply.principal.auth_method]]
    rows += [["on behalf of", f"{one.id} ({one.auth_method})"] for one in reply.on_behalf_of]
    if reply.HasField("expire_time"):
        rows.append(["expires", time(reply.expire_time)])
    render.table(["principal", reply.principal.id], rows)
    return 0


@click.command("token", cls=Command)
@click.option("--issuer", envvar="MODELOG_ISSUER", default="", help="Of which login.")
@click.option("--for", "principal", default="", help="Whose, for example serviceaccounts/ci; of the suite here only.")
@click.option("--on-behalf-of", multiple=True, help="For whom they act, nearest first; of the suite here only.")
@click.option("--seconds", type=click.FloatRange(1, 900), help="How long it lives; of the suite here only. [900]")
@click.pass_context
def token(ctx: click.Context, issuer: str, principal: str, on_behalf_of: tuple[str, ...], seconds: float | None) -> int:
    """Print a token that is good now, for scripts: curl -H "authorization: Bearer $(modelog token)" ..."""
    state = state_of(ctx)
    folder = nearest_suite()[1].get("issuer", {}).get("folder")
    if folder and not issuer:
        text = _signed(folder, principal or state.actor, on_behalf_of, seconds)
    elif principal or on_behalf_of or seconds:
        raise click.UsageError("only the suite that runs nearby makes tokens of others; none runs here with an issuer")
    elif (known := logins.chosen(issuer)) is not None:
        text = logins.token(known.issuer)
    else:
        raise NotConfigured("not logged in, and no suite with an issuer runs here: `modelog login ISSUER`")
    click.echo(json.dumps({"token": text}) if state.as_json else text)
    if sys.stdout.isatty():
        click.echo("whoever sees this is you, until it expires", err=True)
    return 0


def _signed(folder: str, principal: str, on_behalf_of: tuple[str, ...], seconds: float | None) -> str:
    """Whoever may read the suite's key may be anybody there."""
    from pathlib import Path

    from suite.issuer import SECONDS, Issuer, person

    return Issuer(Path(folder)).token(principal or person(), seconds or SECONDS, on_behalf_of)


def _tell(asked: oauth.Asked, *, as_json: bool) -> None:
    if as_json:
        told = {"verification_uri": asked.verification_uri, "user_code": asked.user_code}
        render.print_json(told | {"verification_uri_complete": asked.verification_uri_complete}, line=True)
        return
    click.echo(f"open  {asked.verification_uri_complete or asked.verification_uri}", err=True)
    click.echo(f"code  {asked.user_code}", err=True)


def _sentence(error: oauth.Failed) -> str:
    match error.error:
        case "access_denied":
            return "the login was refused"
        case "expired_token":
            return "nobody entered the code in time; log in again"
    return str(error)
