"""Verifies JWTs as bearer tokens: whose signature, for whom, from when until when (RFC 7519, 8725, 9068).

A refusal says what is wrong and never any part of the token. What was verified is remembered by the token's SHA-256
until it expires or the keys change, so that a caller pays for a signature once.
"""

import base64
import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import jwt
import orjson

from access.keys import ALGORITHMS, Keys
from access.subjects import chain
from kernel.errors import Unauthenticated
from kernel.identity import LEEWAY_SECONDS, Caller

MOST_CHARACTERS = 6144  # What fits into a gRPC call beside its other metadata.
_MOST_REMEMBERED = 8192
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_ALLOWED = frozenset(ALGORITHMS.values())
_LATEST = 253_402_300_799.0  # The end of the year 9999, the last moment a proto's timestamp takes.


@dataclass(frozen=True, slots=True)
class Rules:
    """What a token has to be like. claim: what names a person. lifetime_seconds: from its issue to its expiry."""

    issuer: str
    audience: str
    claim: str = "sub"
    trusts_subjects: bool = False
    lifetime_seconds: float = 900.0


class _Verified(NamedTuple):
    caller: Caller
    until: float


class Tokens:
    """The tokens of one issuer. clock: aware, UTC."""

    def __init__(self, keys: Keys, rules: Rules, clock: Callable[[], datetime]) -> None:
        self._keys = keys
        self._rules = rules
        self._clock = clock
        self._jws = jwt.PyJWS(algorithms=sorted(_ALLOWED))
        self._remembered: dict[bytes, _Verified] = {}
        self._generation = 0

    async def caller(self, token: str) -> Caller:
        """Whose token it is. Unauthenticated when it is not good; Unavailable when no key could ever be loaded."""
        if len(token) > MOST_CHARACTERS:
            raise Unauthenticated("TOKEN_TOO_LARGE", f"a token may have {MOST_CHARACTERS} characters at most")
        await self._keys.fresh()
        if self._generation != self._keys.generation:
            self._remembered.clear()
            self._generation = self._keys.generation
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        known = self._remembered.get(digest)
        if known is not None and self._clock().timestamp() < known.until:
            return known.caller
        return await self._verified(token, digest)

    async def _verified(self, token: str, digest: bytes) -> Caller:
        if not _FORM.fullmatch(token):
            raise Unauthenticated("TOKEN_MALFORMED", "a token is three parts of base64url with dots between")
        claims, generation = await self._claims(token)
        expires = self._checked(claims)
        principal, *others = chain(claims, claim=self._rules.claim, trusts_subjects=self._rules.trusts_subjects)
        caller = Caller(principal, tuple(others), datetime.fromtimestamp(expires, UTC))
        if generation == self._keys.generation:  # Not when the keys changed while it was looked at.
            while len(self._remembered) >= _MOST_REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[digest] = _Verified(caller, expires + LEEWAY_SECONDS)
        return caller

    async def _claims(self, token: str) -> tuple[Mapping[str, Any], int]:
        """What the issuer signed, and the generation of the keys that verified it."""
        header = _object(token.partition(".")[0], "header")
        algorithm, key_id = _checked_header(header)
        key = await self._keys.find(key_id)
        if key.algorithm_name != algorithm:
            raise Unauthenticated("TOKEN_ALGORITHM", "the token's alg is not that of the key it names; get a new token")
        try:
            payload = self._jws.decode(token, key=key)
        except jwt.InvalidSignatureError as error:
            raise Unauthenticated("TOKEN_SIGNATURE", "the token's signature does not hold; get a new token") from error
        except (jwt.PyJWTError, ValueError) as error:
            raise Unauthenticated("TOKEN_MALFORMED", "the token cannot be read; get a new one") from error
        return _parsed(payload, "claims"), self._keys.generation

    def _checked(self, claims: Mapping[str, Any]) -> float:
        """When it expires, in seconds; everything but its subject is as it has to be."""
        rules, now = self._rules, self._clock().timestamp()
        if claims.get("iss") != rules.issuer:
            raise Unauthenticated("TOKEN_ISSUER", f"tokens have to be issued by {rules.issuer}")
        audience = claims.get("aud")
        if rules.audience not in (audience if isinstance(audience, list) else [audience]):
            raise Unauthenticated("TOKEN_AUDIENCE", f"tokens have to be issued for {rules.audience} (aud)")
        expires = _seconds(claims, "exp", None)
        issued = _seconds(claims, "iat", now)
        if now >= expires + LEEWAY_SECONDS:
            raise Unauthenticated("TOKEN_EXPIRED", "the token has expired; get a new one")
        if max(issued, _seconds(claims, "nbf", issued)) > now + LEEWAY_SECONDS:
            raise Unauthenticated("TOKEN_NOT_YET_VALID", "the token is from the future; compare the clocks, or wait")
        if expires - issued > rules.lifetime_seconds:
            raise Unauthenticated("TOKEN_LIFETIME", f"tokens may live {rules.lifetime_seconds:.0f} seconds at most")
        return expires


def _checked_header(header: Mapping[str, Any]) -> tuple[str, str]:
    """Algorithm and key id, "" for none. Keys or addresses of keys that a header brings along are never looked at."""
    algorithm, key_id, kind = header.get("alg"), header.get("kid", ""), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in _ALLOWED:
        raise Unauthenticated("TOKEN_ALGORITHM", f"tokens have to be signed with {', '.join(sorted(_ALLOWED))}")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise Unauthenticated("TOKEN_TYPE", "the token is of another kind (typ) than JWT or at+jwt")
    if "crit" in header or "b64" in header:
        raise Unauthenticated("TOKEN_CRITICAL", "the token asks for extensions (crit) that are not supported here")
    if not isinstance(key_id, str):
        raise Unauthenticated("TOKEN_MALFORMED", "the token's kid is no text")
    return algorithm, key_id


def _seconds(claims: Mapping[str, Any], name: str, missing: float | None) -> float:
    """A claim that is a time, in seconds since 1970."""
    value = claims.get(name, missing)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise Unauthenticated("TOKEN_CLAIM", f"the token's {name} has to be a number of seconds since 1970")
    return math.floor(value)


def _object(segment: str, what: str) -> Mapping[str, Any]:
    try:
        content = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError as error:
        raise Unauthenticated("TOKEN_MALFORMED", f"the token's {what} is no base64url") from error
    return _parsed(content, what)


def _parsed(content: bytes, what: str) -> Mapping[str, Any]:
    """orjson takes neither NaN nor depths that exhaust the stack."""
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Unauthenticated("TOKEN_MALFORMED", f"the token's {what} is no JSON") from error
    if not isinstance(document, dict):
        raise Unauthenticated("TOKEN_MALFORMED", f"the token's {what} is no JSON object")
    return document
