"""Proves who calls, by what stands in the call's metadata and in the client's certificate."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from access.certificates import is_trust_domain, service_of
from access.key_sources import source
from access.keys import Keys, WrongKeys
from access.subjects import asserted
from access.tokens import Rules, Tokens
from kernel.errors import Unauthenticated
from kernel.identity import ACTOR, ON_BEHALF_OF, Caller, Peer
from kernel.settings import Settings

_AUTHORIZATION = "authorization"
_BEARER = "bearer"
# Who passes on what others asked of them. A person acts for another one only with a token that says so.
_MAY_ASSERT = ("services/", "serviceaccounts/")


class Proofs:
    """A bearer token goes before the certificate: then the certificate is only the transport's.

    trust_domain: of the certificates that are names of services; empty when none is.
    """

    def __init__(self, tokens: Tokens | None, trust_domain: str = "") -> None:
        self._tokens = tokens
        self._trust_domain = trust_domain

    async def caller(self, metadata: Mapping[str, str], peer: Peer) -> Caller:
        """Unauthenticated for whatever is missing, wrong, or says other than what is proved."""
        authorization = metadata.get(_AUTHORIZATION)
        if authorization is not None:
            caller = await self._by_token(authorization)
        elif peer.uris and self._trust_domain:
            caller = Caller(service_of(peer.uris, self._trust_domain))
        else:
            raise Unauthenticated("TOKEN_MISSING", self._missing())
        if ACTOR in metadata and metadata[ACTOR] != caller.principal.id:
            raise Unauthenticated("ACTOR_CONTRADICTED", f"{ACTOR} says another than the credentials; leave it out")
        if ON_BEHALF_OF in metadata:
            return _for_others(caller, metadata[ON_BEHALF_OF])
        return caller

    async def _by_token(self, authorization: str) -> Caller:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != _BEARER:
            raise Unauthenticated("TOKEN_MISSING", "authorization has to be `Bearer` and a token")
        token = token.strip(" ")
        if not token:
            raise Unauthenticated("TOKEN_MISSING", "there is no token after `Bearer`")
        if self._tokens is None:
            raise Unauthenticated("TOKEN_UNEXPECTED", "this installation takes certificates and no tokens")
        return await self._tokens.caller(token)

    def _missing(self) -> str:
        if self._tokens is None:
            return "call with a client certificate that names a service"
        return "call with a token (authorization: Bearer ...); `modelog login` gets one"


def _for_others(caller: Caller, text: str) -> Caller:
    """What a token proves goes before what is asserted; both together only when they are the same."""
    others = asserted(text)
    if caller.on_behalf_of and [one.id for one in caller.on_behalf_of] == [one.id for one in others]:
        return caller
    if caller.on_behalf_of or not caller.principal.id.startswith(_MAY_ASSERT):
        # Not PERMISSION_DENIED: nobody has decided anything yet, it is who calls that is not proved.
        raise Unauthenticated(
            "ON_BEHALF_OF_UNPROVED", f"{ON_BEHALF_OF} is not proved by the credentials; use a token with `act`"
        )
    return replace(caller, on_behalf_of=others)


def proofs(settings: Settings, clock: Callable[[], datetime]) -> Proofs:
    """What the settings take for a proof. SystemExit, with a sentence, when that is nothing, or only half said."""
    if settings.trust_domain and not is_trust_domain(settings.trust_domain):
        raise SystemExit(f"MODELOG_TRUST_DOMAIN: {settings.trust_domain!r} is no name like modelog.example.org")
    if bool(settings.oidc_issuer) != bool(settings.oidc_keys):
        raise SystemExit("MODELOG_OIDC_ISSUER and MODELOG_OIDC_KEYS: say both, or none: who signs, and with which keys")
    if not settings.oidc_issuer and not settings.trust_domain:
        raise SystemExit(
            "MODELOG_IDENTITY=roles needs a way to prove who calls: set MODELOG_OIDC_ISSUER and MODELOG_OIDC_KEYS for "
            "tokens, or MODELOG_TRUST_DOMAIN for certificates of services"
        )
    return Proofs(_tokens(settings, clock) if settings.oidc_issuer else None, settings.trust_domain)


def _tokens(settings: Settings, clock: Callable[[], datetime]) -> Tokens:
    if not settings.oidc_audience or not settings.oidc_claim:
        raise SystemExit("MODELOG_OIDC_AUDIENCE and MODELOG_OIDC_CLAIM must not be empty")
    try:
        keys = Keys(source(settings.oidc_keys), refresh_seconds=settings.oidc_refresh_seconds, name=settings.oidc_keys)
        if "://" not in settings.oidc_keys:  # A provider may be away when a service starts; a file has to be there.
            keys.load()
    except (OSError, ValueError, WrongKeys) as error:
        raise SystemExit(f"MODELOG_OIDC_KEYS: {settings.oidc_keys}: {error}") from error
    rules = Rules(
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        claim=settings.oidc_claim,
        trusts_subjects=settings.oidc_trusts_subjects,
        lifetime_seconds=settings.oidc_lifetime_seconds,
    )
    return Tokens(keys, rules, clock)
