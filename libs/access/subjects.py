"""From the claims of a verified token to who calls and for whom. Pure.

sub                                  users/<sub>, or users/<claim> where the settings name another claim
sub equal to client_id or azp        serviceaccounts/<sub>: a client that acts for itself (RFC 9068)
sub of the form users/ada            taken as it is, from an issuer that is configured to say so
act                                  who acts now, for the subject; inside it who acted before (RFC 8693)
"""

import re
from collections.abc import Mapping
from typing import Any

from kernel.errors import Unauthenticated
from modelog.type.v1.principal_pb2 import Principal

MOST_ON_BEHALF_OF = 8
_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@+=:|~-]{0,126}[A-Za-z0-9=])?")
_PRINCIPAL = re.compile(rf"(?:users|serviceaccounts)/{_ID.pattern}")
_ASSERTED = re.compile(rf"(?:users|serviceaccounts|services)/{_ID.pattern}")
Claims = Mapping[str, Any]


def chain(claims: Claims, *, claim: str, trusts_subjects: bool) -> tuple[Principal, ...]:
    """Who calls, then those for whom, nearest first."""
    subject = _subject(claims, claim=claim, trusts_subjects=trusts_subjects)
    actors = _actors(claims, trusts_subjects=trusts_subjects)
    ids = [*actors[:1], subject, *actors[1:]]
    return tuple(Principal(id=one, auth_method="oidc") for one in ids)


def asserted(text: str) -> tuple[Principal, ...]:
    """Those for whom a service says to act, by commas, nearest first."""
    ids = [one.strip() for one in text.split(",")]
    if len(ids) > MOST_ON_BEHALF_OF or not all(_ASSERTED.fullmatch(one) for one in ids):
        raise Unauthenticated(
            "ON_BEHALF_OF_FORMAT", f"say for whom as users/ada,serviceaccounts/ci with at most {MOST_ON_BEHALF_OF}"
        )
    return tuple(Principal(id=one, auth_method="asserted") for one in ids)


def _subject(claims: Claims, *, claim: str, trusts_subjects: bool) -> str:
    sub = claims.get("sub")
    if not isinstance(sub, str) or not sub:
        raise _wrong("the token says of nobody that it is theirs (sub)")
    if trusts_subjects and "/" in sub:
        return _trusted(sub)
    if sub in (claims.get("client_id"), claims.get("azp")):
        return f"serviceaccounts/{_id(sub)}"
    if claim == "email" and claims.get("email_verified") is not True:
        raise _wrong("the token's issuer has not verified whose the email address is")
    return f"users/{_id(claims.get(claim))}"


def _actors(claims: Claims, *, trusts_subjects: bool) -> list[str]:
    """The present actor first, then former ones."""
    found: list[str] = []
    clients = (claims.get("client_id"), claims.get("azp"))
    act = claims.get("act")
    while act is not None:
        if not isinstance(act, dict) or len(found) == MOST_ON_BEHALF_OF:
            raise _wrong(f"the token's act has to be an object with a sub, at most {MOST_ON_BEHALF_OF} deep")
        if act.get("iss", claims.get("iss")) != claims.get("iss"):
            raise _wrong("the token names an actor whom another issuer knows")
        found.append(_actor(act, clients, trusts_subjects=trusts_subjects))
        act = act.get("act")
    return found


def _actor(act: Claims, clients: tuple[Any, ...], *, trusts_subjects: bool) -> str:
    sub = act.get("sub")
    if trusts_subjects and isinstance(sub, str) and "/" in sub:
        return _trusted(sub)
    kind = "serviceaccounts" if sub in (act.get("client_id"), act.get("azp"), *clients) else "users"
    return f"{kind}/{_id(sub)}"


def _trusted(text: str) -> str:
    if not _PRINCIPAL.fullmatch(text):
        raise _wrong("the token's subject is neither like users/ada nor like serviceaccounts/ci")
    return text


def _id(value: Any) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise _wrong("the token's subject has to be a text of 1 to 128 letters, digits and . _ @ + = : | ~ -")
    return value


def _wrong(message: str) -> Unauthenticated:
    return Unauthenticated("TOKEN_SUBJECT", f"{message}; get a token of another subject, or have its issuer corrected")
