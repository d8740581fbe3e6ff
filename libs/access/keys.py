"""The public keys that tokens are verified with: a set from a file or a URL, kept fresh, and never the reason to wait.

A set is asked for again while it is used, so a key that is taken out of it stops working within `refresh_seconds` and a
new one is known before it is needed. A source that fails leaves the last good set, and an alarm in the log.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kernel.errors import Unauthenticated, Unavailable
from kernel.logs import structlog

_log = structlog.get_logger()
Source = Callable[[], bytes]

# One algorithm for each kind of key, so that no header can choose another one for it: kty and crv to alg.
ALGORITHMS: Mapping[tuple[str, str], str] = {
    ("RSA", ""): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}
_PRIVATE = frozenset("d p q dp dq qi oth k".split())
_MOST_KEYS = 64
_MOST_ID_CHARACTERS = 256
_LEAST_RSA_BITS = 2048
# However many tokens name unknown keys, the source is asked no more often, and no more calls than this wait for it.
_BETWEEN_SECONDS = 2.0
_MOST_WAITING = 64
_PATIENCE_SECONDS = 4.0


class WrongKeys(Exception):
    """What a source gave is no set of public keys; the message says why, and may be logged."""


def parse(content: bytes) -> Mapping[str, jwt.PyJWK]:
    """The usable keys of a JWKS by id, "" for one without. Others are left out: those for encryption and of unknown
    kinds in silence, those that are wrong with an alarm, since whoever signs with them will be refused."""
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise WrongKeys("it is not JSON") from error
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or len(entries) > _MOST_KEYS:
        raise WrongKeys(f'it is not {{"keys": [...]}} with at most {_MOST_KEYS} of them')
    found: dict[str, jwt.PyJWK] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not _verifies(entry):
            continue
        try:
            key = _key(entry)
        except WrongKeys as wrong:
            _log.critical("token_key_left_out", kid=str(entry.get("kid"))[:_MOST_ID_CHARACTERS], error=str(wrong))
            continue
        if key.key_id in found:
            raise WrongKeys("two keys have the same kid, so a token would not say which it means")
        found[key.key_id or ""] = key
    return found


def _verifies(entry: Mapping[str, Any]) -> bool:
    """Whether it is a key for signatures, of a kind we take."""
    algorithm = ALGORITHMS.get((str(entry.get("kty")), str(entry.get("crv", ""))))
    operations = entry.get("key_ops", ["verify"])
    return (
        algorithm is not None
        and entry.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and entry.get("alg", algorithm) == algorithm
    )


def _key(entry: Mapping[str, Any]) -> jwt.PyJWK:
    if _PRIVATE & entry.keys():
        raise WrongKeys("it is a private key: whoever has read it can sign; make another")
    key_id = entry.get("kid", "")
    if not isinstance(key_id, str) or len(key_id) > _MOST_ID_CHARACTERS:
        raise WrongKeys("its kid is no text of sensible length")
    algorithm = ALGORITHMS[(entry["kty"], entry.get("crv", ""))]
    try:
        key = jwt.PyJWK({**entry, "kid": key_id}, algorithm=algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
        raise WrongKeys("it cannot be read") from error
    if isinstance(key.key, RSAPublicKey) and key.key.key_size < _LEAST_RSA_BITS:
        raise WrongKeys(f"it has less than {_LEAST_RSA_BITS} bits")
    return key


class Keys:
    """One set of keys. `generation` rises with each change of it: what was verified before has to be verified again."""

    def __init__(self, source: Source, *, refresh_seconds: float, name: str) -> None:
        """source: reads the set; it may block, for some seconds at most, because it runs in a thread.

        name: what alarms call it. The first set is loaded when it is first needed, or by `load`.
        """
        self.generation = 0
        self._source = source
        self._name = name
        self._refresh_seconds = refresh_seconds
        self._soon_seconds = refresh_seconds / 2
        self._content: bytes | None = None
        self._known: Mapping[str, jwt.PyJWK] = {}
        # When the source was last asked, and when for the answer, or the failure, that is known.
        self._asked = self._answered = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self._waiting = 0

    def load(self) -> None:
        """Loads the set now, blocking; OSError or WrongKeys when there is none. For the start of a process."""
        self._asked = self._answered = time.monotonic()
        self._take(self._source())
        if not self._known:
            raise WrongKeys(f"there is no key for {', '.join(sorted(set(ALGORITHMS.values())))}")

    async def fresh(self) -> None:
        """Returns at once while the set is fresh; waits for the source only when nobody has asked it for long."""
        age = time.monotonic() - self._answered
        if age < self._soon_seconds:
            return
        asking = self._ask()
        if age >= self._refresh_seconds:
            await self._answer(asking)

    async def find(self, key_id: str) -> jwt.PyJWK:
        """The key a token names; "" when it names none, which is enough where there is only one."""
        key = self._chosen(key_id)
        if key is None and self._asking is not None:
            await self._answer(self._asking)
            key = self._chosen(key_id)
        if key is None:
            await self._ask_once_more()
            key = self._chosen(key_id)
        if key is not None:
            return key
        if self._content is None:
            raise Unavailable("KEYS_UNREACHABLE", "tokens cannot be verified now, try again: their keys did not load")
        if not key_id:
            raise Unauthenticated("TOKEN_KEY_UNKNOWN", "the token has to name its key (kid): the issuer has several")
        raise Unauthenticated(
            "TOKEN_KEY_UNKNOWN", "the token is signed with a key its issuer does not publish; get a new token"
        )

    def _chosen(self, key_id: str) -> jwt.PyJWK | None:
        if not key_id and len(self._known) == 1:
            return next(iter(self._known.values()))
        return self._known.get(key_id) if key_id else None

    async def _ask_once_more(self) -> None:
        """A key that was made a moment ago is in no set that was read before: the next one is waited for.

        All who wait share one question. When many wait already, the keys they name are likely made up.
        """
        if self._waiting >= _MOST_WAITING:
            return
        self._waiting += 1
        try:
            arrived = time.monotonic()
            rest_seconds = self._asked + _BETWEEN_SECONDS - arrived
            if rest_seconds > 0:
                await asyncio.sleep(rest_seconds)
            if self._asked <= arrived:
                self._ask()
            if self._asking is not None:
                await self._answer(self._asking)
        finally:
            self._waiting -= 1

    def _ask(self) -> "asyncio.Task[None]":
        if self._asking is None or self._asking.done():
            self._asked = time.monotonic()
            self._asking = asyncio.get_running_loop().create_task(self._reload())
        return self._asking

    async def _answer(self, asking: "asyncio.Task[None]") -> None:
        """Waits for the source, but not for one that hangs: then what is known counts."""
        seconds = self._asked + _PATIENCE_SECONDS - time.monotonic()
        if not asking.done() and seconds > 0:
            await asyncio.wait((asking,), timeout=seconds)

    async def _reload(self) -> None:
        asked = self._asked
        try:
            self._take(await asyncio.to_thread(self._source))
        except (OSError, ValueError, WrongKeys) as error:
            _log.critical("token_keys_not_refreshed", source=self._name, keys=len(self._known), error=str(error))
        finally:
            self._answered = asked

    def _take(self, content: bytes) -> None:
        if content == self._content:
            return
        self._known, self._content = parse(content), content
        self.generation += 1
        if not self._known:
            _log.critical("token_keys_empty", source=self._name)
        _log.info("token_keys_loaded", source=self._name, kids=sorted(self._known))
