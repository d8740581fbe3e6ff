"""Who a caller is: by token, by certificate, and never by what it says of itself."""

import contextlib
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from access.credentials import Proofs, proofs
from kernel.errors import Unauthenticated
from kernel.identity import Caller, Peer
from kernel.rooms import now
from kernel.settings import Settings
from tests.access.forge import Forge, Metadata, bearer, encoded, nested_act
from tests.access.wrong_credentials import WRONG, Make

NOBODY = Peer("ipv4:127.0.0.1:1")


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Forge:
    return Forge(tmp_path_factory.mktemp("forge"))


def proving(forge: Forge, **more: Any) -> Proofs:
    return proofs(Settings(nats_url="", postgres_url="", **forge.settings(**more)), now)


async def identified(proofs: Proofs, metadata: Metadata, *uris: str) -> Caller:
    """As the door does it: what is said twice is one list."""
    joined: dict[str, str] = {}
    for key, value in metadata:
        joined[key] = f"{joined[key]},{value}" if key in joined else value
    return await proofs.caller(joined, NOBODY._replace(uris=uris))


@pytest.mark.parametrize(("reason", "make"), WRONG.values(), ids=list(WRONG))
async def test_what_is_wrong_is_refused_for_its_reason_and_never_repeated(
    forge: Forge, reason: str, make: Make
) -> None:
    metadata = make(forge)
    with pytest.raises(Unauthenticated) as refused:
        await identified(proving(forge), metadata)
    assert refused.value.reason == reason
    assert refused.value.message
    for part in (part for _, value in metadata for part in value.replace("Bearer ", "").split(".") if len(part) > 8):
        assert part not in str(refused.value)


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
async def test_a_good_token_says_who_calls_and_until_when(forge: Forge, algorithm: str) -> None:
    until = int(time.time()) + 300
    caller = await identified(proving(forge), bearer(forge.token(algorithm, exp=until)))
    assert (caller.ids, caller.principal.auth_method) == (("users/ada",), "oidc")
    assert caller.expires == datetime.fromtimestamp(until, UTC)


@pytest.mark.parametrize(
    ("changed", "ids"),
    [
        ({"sub": "auth0|5f7c8ec7"}, ("users/auth0|5f7c8ec7",)),
        ({"sub": "ci", "client_id": "ci"}, ("serviceaccounts/ci",)),
        ({"sub": "ci", "azp": "ci"}, ("serviceaccounts/ci",)),
        ({"azp": "cli"}, ("users/ada",)),
        ({"aud": ["elsewhere", "modelog"]}, ("users/ada",)),
        ({"act": {"sub": "bob"}}, ("users/bob", "users/ada")),
        ({"act": {"sub": "ci", "client_id": "ci"}}, ("serviceaccounts/ci", "users/ada")),
        ({"act": {"sub": "ci"}, "azp": "ci"}, ("serviceaccounts/ci", "users/ada")),
        ({"act": nested_act(["ci", "bob"])}, ("users/ci", "users/ada", "users/bob")),
        ({"act": nested_act(["b"] * 8)}, ("users/b", "users/ada", *["users/b"] * 7)),
    ],
)
async def test_claims_lead_to_principals(forge: Forge, changed: dict[str, Any], ids: tuple[str, ...]) -> None:
    assert (await identified(proving(forge), bearer(forge.token(**changed)))).ids == ids


async def test_an_issuer_that_is_trusted_with_it_names_principals_itself(forge: Forge) -> None:
    trusting = proving(forge, oidc_trusts_subjects=True)
    token = forge.token(sub="users/ada", act={"sub": "serviceaccounts/ci"})
    assert (await identified(trusting, bearer(token))).ids == ("serviceaccounts/ci", "users/ada")
    for sub in ("services/registry", "users/", "users/a/b", "/users/a", "users/a,b"):
        with pytest.raises(Unauthenticated, match="TOKEN_SUBJECT"):
            await identified(trusting, bearer(forge.token(sub=sub)))


async def test_a_person_is_named_by_the_claim_of_the_settings(forge: Forge) -> None:
    by_name = proving(forge, oidc_claim="preferred_username")
    token = forge.token(sub="5f7c8ec7", preferred_username="ada")
    assert (await identified(by_name, bearer(token))).ids == ("users/ada",)
    with pytest.raises(Unauthenticated, match="TOKEN_SUBJECT"):
        await identified(by_name, bearer(forge.token()))


async def test_an_email_address_has_to_be_verified_by_the_issuer(forge: Forge) -> None:
    by_email = proving(forge, oidc_claim="email")
    token = forge.token(email="ada@example.org", email_verified=True)
    assert (await identified(by_email, bearer(token))).ids == ("users/ada@example.org",)
    for verified in (None, False, "true"):
        with pytest.raises(Unauthenticated, match="TOKEN_SUBJECT"):
            await identified(by_email, bearer(forge.token(email="root@example.org", email_verified=verified)))


async def test_clocks_may_differ_by_a_minute(forge: Forge) -> None:
    proving_now, moment = proving(forge), int(time.time())
    await identified(proving_now, bearer(forge.token(iat=moment + 30, exp=moment + 300)))
    await identified(proving_now, bearer(forge.token(iat=moment - 300, exp=moment - 30)))


async def test_a_remembered_token_expires_all_the_same(forge: Forge) -> None:
    later = 0.0

    def clock() -> datetime:
        return datetime.fromtimestamp(time.time() + later, UTC)

    remembering = proofs(Settings(nats_url="", postgres_url="", **forge.settings()), clock)
    token = forge.token()
    await identified(remembering, bearer(token))
    await identified(remembering, bearer(token))
    later = 661.0
    with pytest.raises(Unauthenticated, match="TOKEN_EXPIRED"):
        await identified(remembering, bearer(token))


async def test_a_service_account_says_for_whom_it_acts_and_a_token_that_proves_it_goes_before(forge: Forge) -> None:
    proving_now = proving(forge)
    said = ("x-modelog-on-behalf-of", "users/ada, users/bob")
    caller = await identified(proving_now, bearer(forge.token(sub="ci", azp="ci"), said))
    assert caller.ids == ("serviceaccounts/ci", "users/ada", "users/bob")
    assert [one.auth_method for one in caller.on_behalf_of] == ["asserted", "asserted"]
    proved = forge.token(act={"sub": "ci", "client_id": "ci"})
    assert (await identified(proving_now, bearer(proved, ("x-modelog-on-behalf-of", "users/ada")))).ids == (
        "serviceaccounts/ci",
        "users/ada",
    )
    with pytest.raises(Unauthenticated, match="ON_BEHALF_OF_UNPROVED"):
        await identified(proving_now, bearer(proved, said))


@pytest.mark.parametrize(
    ("uris", "reason"),
    [
        (["spiffe://other.example.org/svc/registry"], "CERTIFICATE_TRUST_DOMAIN"),
        (["spiffe://modelog.example.org.evil.example/svc/registry"], "CERTIFICATE_TRUST_DOMAIN"),
        (["spiffe://modelog.example.orgx/svc/registry"], "CERTIFICATE_TRUST_DOMAIN"),
        (["https://modelog.example.org/svc/registry"], "CERTIFICATE_TRUST_DOMAIN"),
        (["spiffe://MODELOG.example.org/svc/registry"], "CERTIFICATE_TRUST_DOMAIN"),
        (["spiffe://modelog.example.org:80/svc/registry"], "CERTIFICATE_TRUST_DOMAIN"),
        (["spiffe://modelog.example.org/svc/"], "CERTIFICATE_NAME"),
        (["spiffe://modelog.example.org/svc/registry/"], "CERTIFICATE_NAME"),
        (["spiffe://modelog.example.org/svc/../svc/registry"], "CERTIFICATE_NAME"),
        (["spiffe://modelog.example.org/svc/registry?x"], "CERTIFICATE_NAME"),
        (["spiffe://modelog.example.org/svc/registry\0"], "CERTIFICATE_NAME"),
        (["spiffe://modelog.example.org/svc/%72egistry"], "CERTIFICATE_NAME"),
        (["spiffe://modelog.example.org/user/ada"], "CERTIFICATE_NAME"),
        (["spiffe://modelog.example.org/svc/a", "spiffe://modelog.example.org/svc/b"], "CERTIFICATE_NAME"),
    ],
)
async def test_a_certificate_of_another_name_is_nobody(forge: Forge, uris: list[str], reason: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await identified(proving(forge, trust_domain="modelog.example.org"), (), *uris)
    assert refused.value.reason == reason


async def test_a_certificate_names_a_service_and_a_token_goes_before_it(forge: Forge) -> None:
    both = proving(forge, trust_domain="modelog.example.org")
    uri = "spiffe://modelog.example.org/svc/deployment"
    caller = await identified(both, (("x-modelog-on-behalf-of", "users/ada"),), uri)
    assert caller.ids == ("services/deployment", "users/ada")
    assert caller.principal.auth_method == "mtls"
    assert (await identified(both, bearer(forge.token()), uri)).ids == ("users/ada",)
    with pytest.raises(Unauthenticated, match="TOKEN_SIGNATURE"):  # Not: then take the certificate.
        await identified(both, bearer(forge.token()[:-8] + "AAAAAAAA"), uri)
    with pytest.raises(Unauthenticated, match="TOKEN_MISSING"):
        await identified(proving(forge), (), uri)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"oidc_issuer": "", "oidc_keys": ""}, "needs a way to prove who calls"),
        ({"oidc_keys": ""}, "say both"),
        ({"oidc_issuer": ""}, "say both"),
        ({"oidc_keys": "/nowhere/jwks.json"}, "MODELOG_OIDC_KEYS"),
        ({"oidc_keys": "http://id.example.org/jwks"}, "https"),
        ({"oidc_keys": "ftp://127.0.0.1/jwks"}, "https"),
        ({"oidc_audience": ""}, "MODELOG_OIDC_AUDIENCE"),
        ({"trust_domain": "spiffe://x"}, "MODELOG_TRUST_DOMAIN"),
    ],
)
def test_half_an_identity_does_not_start(forge: Forge, changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SystemExit, match=sentence):
        proving(forge, **changed)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_claim = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("iss", "aud", "sub", "exp", "nbf", "iat", "act", "azp", "client_id"), _json)
)
_head = st.fixed_dictionaries({}, optional=dict.fromkeys(("alg", "kid", "typ", "crit", "b64", "jwk", "zip"), _json))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=400) | st.binary(max_size=300).map(encoded).map(lambda part: f"{part}.{part}.{part}"))
async def test_no_text_is_a_token(forge: Forge, text: str) -> None:
    with pytest.raises(Unauthenticated):
        await identified(proving(forge), bearer(text))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changed=_claim, head=_head, key=st.sampled_from(["EdDSA", "ES256", "RS256"]))
async def test_whatever_an_issuer_signs_there_is_a_caller_or_a_refusal(
    forge: Forge, changed: dict[str, Any], head: dict[str, Any], key: str
) -> None:
    token = forge.signed(forge.claims() | changed, {"alg": key, "kid": key} | head, algorithm=key)
    with contextlib.suppress(Unauthenticated):
        caller = await identified(proving(forge), bearer(token))
        assert all(one.startswith(("users/", "serviceaccounts/")) for one in caller.ids)
