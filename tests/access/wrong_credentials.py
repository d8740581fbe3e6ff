"""Kinds of bad credentials: what stands in the call's metadata, and the reason it has to be refused with."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.access.forge import Forge, Metadata, bearer, encoded, nested_act, private_key, public_jwk

Make = Callable[[Forge], Metadata]


def _claims(**changed: Any) -> Make:
    return lambda forge: bearer(forge.token(**changed))


def _header(**changed: Any) -> Make:
    return lambda forge: bearer(forge.token(header=changed))


def _in(seconds: float) -> int:
    return int(time.time() + seconds)


def _cut(forge: Forge, change: Callable[[list[str]], list[str]]) -> Metadata:
    return bearer(".".join(change(forge.token().split("."))))


def _own_key(forge: Forge) -> Metadata:
    """Signed with a key that the header brings along."""
    key = private_key("EdDSA")
    header = {"alg": "EdDSA", "kid": "mine", "jwk": public_jwk(key, "EdDSA", kid="mine")}
    return bearer(forge.signed(forge.claims(), header, key))


def _algorithms() -> Mapping[str, tuple[str, Make]]:
    return {
        "no algorithm": ("TOKEN_ALGORITHM", lambda f: bearer(f"{encoded({'alg': 'none'})}.{encoded(f.claims())}.")),
        "no algorithm, odd case": ("TOKEN_ALGORITHM", _header(alg="nOnE")),
        "algorithm missing": ("TOKEN_ALGORITHM", _header(alg=None)),
        "algorithm is a list": ("TOKEN_ALGORITHM", _header(alg=["EdDSA"])),
        "HS256 with the RSA key": ("TOKEN_ALGORITHM", lambda f: bearer(f.keyed_with_the_public_key("RS256"))),
        "HS256 with the EC key": ("TOKEN_ALGORITHM", lambda f: bearer(f.keyed_with_the_public_key("ES256"))),
        "an algorithm not allowed": ("TOKEN_ALGORITHM", _header(alg="PS256")),
        "the algorithm of another key": ("TOKEN_ALGORITHM", _header(alg="ES256", kid="EdDSA")),
    }


def _tokens() -> Mapping[str, tuple[str, Make]]:
    return {
        "kid missing, several keys": ("TOKEN_KEY_UNKNOWN", _header(kid=None)),
        "kid empty": ("TOKEN_KEY_UNKNOWN", _header(kid="")),
        "kid a number": ("TOKEN_MALFORMED", _header(kid=7)),
        "kid a path": ("TOKEN_KEY_UNKNOWN", _header(kid="../../../../dev/null")),
        "kid unknown": ("TOKEN_KEY_UNKNOWN", _header(kid="made-up")),
        "another key under the same kid": (
            "TOKEN_SIGNATURE",
            lambda f: bearer(f.signed(f.claims(), {"alg": "EdDSA", "kid": "EdDSA"}, private_key("EdDSA"))),
        ),
        "its own key in the header": ("TOKEN_KEY_UNKNOWN", _own_key),
        "its own key under a known kid": (
            "TOKEN_SIGNATURE",
            lambda f: bearer(
                f.signed(
                    f.claims(),
                    {"alg": "EdDSA", "kid": "EdDSA", "jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/x"},
                    private_key("EdDSA"),
                )
            ),
        ),
        "crit": ("TOKEN_CRITICAL", _header(crit=["exp"])),
        "crit empty": ("TOKEN_CRITICAL", _header(crit=[])),
        "b64 false": ("TOKEN_CRITICAL", _header(b64=False)),
        "typ of another kind": ("TOKEN_TYPE", _header(typ="logout+jwt")),
        "typ no text": ("TOKEN_TYPE", _header(typ=1)),
        "header no object": ("TOKEN_MALFORMED", lambda f: bearer(f.signed(f.claims(), ["EdDSA"]))),
        "claims no object": ("TOKEN_MALFORMED", lambda f: bearer(f.signed(["ada"], {"alg": "EdDSA", "kid": "EdDSA"}))),
        "claims too deep": (
            "TOKEN_MALFORMED",
            lambda f: bearer(f.signed(b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}", {"alg": "EdDSA", "kid": "EdDSA"})),
        ),
        "signature stripped": ("TOKEN_SIGNATURE", lambda f: _cut(f, lambda parts: [*parts[:2], ""])),
        "signature of other claims": (
            "TOKEN_SIGNATURE",
            lambda f: _cut(f, lambda parts: [parts[0], encoded(f.claims(sub="eve")), parts[2]]),
        ),
        "two parts": ("TOKEN_MALFORMED", lambda f: _cut(f, lambda parts: parts[:2])),
        "four parts": ("TOKEN_MALFORMED", lambda f: _cut(f, lambda parts: [*parts, "x"])),
        "encrypted": ("TOKEN_MALFORMED", lambda f: _cut(f, lambda parts: [*parts, "x", "x"])),
        "no base64": ("TOKEN_MALFORMED", lambda f: _cut(f, lambda parts: ["%%%", *parts[1:]])),
        "not a token at all": ("TOKEN_MALFORMED", lambda f: bearer("opensesame")),
        "too large": ("TOKEN_TOO_LARGE", _claims(padding="x" * 4700)),
    }


def _times() -> Mapping[str, tuple[str, Make]]:
    return {
        "expired": ("TOKEN_EXPIRED", lambda f: bearer(f.token(iat=_in(-900), exp=_in(-90)))),
        "expired long ago": ("TOKEN_EXPIRED", lambda f: bearer(f.token(iat=1, exp=2))),
        "exp missing": ("TOKEN_CLAIM", _claims(exp=None)),
        "exp a text": ("TOKEN_CLAIM", lambda f: bearer(f.token(exp=str(_in(600))))),
        "exp true": ("TOKEN_CLAIM", _claims(exp=True)),
        "exp not a number": (
            "TOKEN_MALFORMED",
            lambda f: bearer(f.signed(b'{"exp": NaN}', {"alg": "EdDSA", "kid": "EdDSA"})),
        ),
        "exp without end": ("TOKEN_CLAIM", _claims(exp=10**18)),
        "exp too far": ("TOKEN_LIFETIME", lambda f: bearer(f.token(exp=_in(86_400)))),
        "exp too far, without iat": ("TOKEN_LIFETIME", lambda f: bearer(f.token(iat=None, exp=_in(86_400)))),
        "not yet": ("TOKEN_NOT_YET_VALID", lambda f: bearer(f.token(nbf=_in(300)))),
        "issued in the future": ("TOKEN_NOT_YET_VALID", lambda f: bearer(f.token(iat=_in(300), exp=_in(600)))),
        "nbf a list": ("TOKEN_CLAIM", _claims(nbf=[1])),
        "iat negative": ("TOKEN_CLAIM", _claims(iat=-1)),
    }


def _subjects() -> Mapping[str, tuple[str, Make]]:
    return {
        "another audience": ("TOKEN_AUDIENCE", _claims(aud="elsewhere")),
        "other audiences": ("TOKEN_AUDIENCE", _claims(aud=["a", "b"])),
        "audience missing": ("TOKEN_AUDIENCE", _claims(aud=None)),
        "audience a part of ours": ("TOKEN_AUDIENCE", _claims(aud="model")),
        "another issuer": ("TOKEN_ISSUER", _claims(iss="https://id.example.com")),
        "issuer with a slash more": ("TOKEN_ISSUER", _claims(iss="https://id.example.org/")),
        "issuer missing": ("TOKEN_ISSUER", _claims(iss=None)),
        "sub missing": ("TOKEN_SUBJECT", _claims(sub=None)),
        "sub empty": ("TOKEN_SUBJECT", _claims(sub="")),
        "sub a number": ("TOKEN_SUBJECT", _claims(sub=7)),
        "sub with NUL": ("TOKEN_SUBJECT", _claims(sub="ada\0")),
        "sub with a space": ("TOKEN_SUBJECT", _claims(sub="ada lovelace")),
        "sub with a line's end": ("TOKEN_SUBJECT", _claims(sub="ada\n")),
        "sub that turns the direction": ("TOKEN_SUBJECT", _claims(sub="ada\u202e")),
        "sub too long": ("TOKEN_SUBJECT", _claims(sub="a" * 129)),
        "sub that names itself": ("TOKEN_SUBJECT", _claims(sub="users/root")),
        "sub a service": ("TOKEN_SUBJECT", _claims(sub="services/registry")),
        "act no object": ("TOKEN_SUBJECT", _claims(act="bob")),
        "act without sub": ("TOKEN_SUBJECT", _claims(act={})),
        "act of another issuer": ("TOKEN_SUBJECT", _claims(act={"sub": "bob", "iss": "https://id.example.com"})),
        "act too deep": ("TOKEN_SUBJECT", _claims(act=nested_act(["bob"] * 9))),
    }


def _metadata() -> Mapping[str, tuple[str, Make]]:
    twice = lambda f: (*bearer(f.token()), *bearer(f.token(sub="eve")))  # noqa: E731 - a row like its neighbours.
    return {
        "nothing": ("TOKEN_MISSING", lambda _f: ()),
        "only a name": ("TOKEN_MISSING", lambda _f: (("x-modelog-actor", "users/ada"),)),
        "another scheme": ("TOKEN_MISSING", lambda _f: (("authorization", "Basic YWRhOnNlY3JldA=="),)),
        "scheme alone": ("TOKEN_MISSING", lambda _f: (("authorization", "Bearer"),)),
        "bearer of nothing": ("TOKEN_MISSING", lambda _f: (("authorization", "Bearer "),)),
        "token without scheme": ("TOKEN_MISSING", lambda f: (("authorization", f.token()),)),
        "two tokens": ("TOKEN_MALFORMED", twice),
        "the same token twice": ("TOKEN_MALFORMED", lambda f: bearer(token := f.token(), *bearer(token))),
        "two tokens in one": ("TOKEN_MALFORMED", lambda f: bearer(f"{f.token()},{f.token()}")),
        "another name than the token's": (
            "ACTOR_CONTRADICTED",
            lambda f: bearer(f.token(), ("x-modelog-actor", "users/root")),
        ),
        "two names": (
            "ACTOR_CONTRADICTED",
            lambda f: bearer(f.token(), ("x-modelog-actor", "users/ada"), ("x-modelog-actor", "users/root")),
        ),
        "a person for another": (
            "ON_BEHALF_OF_UNPROVED",
            lambda f: bearer(f.token(), ("x-modelog-on-behalf-of", "users/root")),
        ),
        "for nobody in particular": (
            "ON_BEHALF_OF_FORMAT",
            lambda f: bearer(f.token(sub="ci", azp="ci"), ("x-modelog-on-behalf-of", "root")),
        ),
        "for too many": (
            "ON_BEHALF_OF_FORMAT",
            lambda f: bearer(f.token(sub="ci", azp="ci"), ("x-modelog-on-behalf-of", ",".join(["users/a"] * 9))),
        ),
    }


WRONG: Mapping[str, tuple[str, Make]] = {**_metadata(), **_algorithms(), **_tokens(), **_times(), **_subjects()}
