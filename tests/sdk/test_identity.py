"""How a client proves who calls: where its token comes from, when it is renewed, and whom it is shown to."""

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import grpc.aio
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.sdk import NotConfigured, connect
from modelog.sdk.channels import is_loopback, tls
from modelog.sdk.tokens import Tokens, of_file, of_text
from suite.issuer import AUDIENCE, Issuer, person
from tests.sdk.callers import caller
from tests.sdk.fakes import FakeRegistry, handler, serving

KINDS = pytest.mark.parametrize("kind", ["async", "sync"])


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No suite nearby, no login, nothing in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("ACTOR", "TOKEN_FILE", "ISSUER", "CA_FILE", "CERTIFICATE_FILE", "KEY_FILE"):
        monkeypatch.delenv(f"MODELOG_{name}", raising=False)


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    fake = FakeRegistry()
    async with serving(registry=fake) as address:
        fake.address = address
        yield fake


def made(seconds: float, text: str = "ada") -> str:
    return jwt.encode({"sub": text, "exp": time.time() + seconds}, "k" * 32, "HS256")


async def sent(kind: str, registry: Any, **arguments: Any) -> dict[str, str]:
    """The metadata of a call."""
    calling = caller(kind, registry=registry.address, **arguments)
    await calling("CreateProject", rpc.CreateProjectRequest(project_id="risk"))
    await calling.close()
    metadata: dict[str, str] = registry.metadata[-1]
    return metadata


@KINDS
async def test_a_token_goes_with_every_call(kind: str, registry: FakeRegistry, tmp_path: Path) -> None:
    assert "authorization" not in await sent(kind, registry)
    assert (await sent(kind, registry, token="abc"))["authorization"] == "Bearer abc"
    assert (await sent(kind, registry, token=lambda: "def"))["authorization"] == "Bearer def"
    (tmp_path / "token").write_text("ghi\n")
    assert (await sent(kind, registry, token_file=tmp_path / "token"))["authorization"] == "Bearer ghi"


@KINDS
async def test_a_file_that_changes_is_read_again(kind: str, registry: FakeRegistry, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    calling = caller(kind, registry=registry.address, token_file=file)
    for text in ("first", "second"):
        file.write_text(text)
        await calling("CreateProject", rpc.CreateProjectRequest(project_id="risk"))
        assert registry.metadata[-1]["authorization"] == f"Bearer {text}"
    file.unlink()
    with pytest.raises(NotConfigured, match="no token can be read"):
        await calling("CreateProject", rpc.CreateProjectRequest(project_id="risk"))
    await calling.close()


@KINDS
async def test_the_newest_revision_seen_goes_with_every_call(kind: str, registry: FakeRegistry) -> None:
    calling = caller(kind, registry=registry.address)
    for _ in range(2):
        await calling("CreateProject", rpc.CreateProjectRequest(project_id="risk"))
    await calling.close()
    assert [metadata.get("x-modelog-revision") for metadata in registry.metadata] == [None, "1"]


@KINDS
async def test_the_suite_nearby_makes_tokens_for_its_own_services_only(
    kind: str, registry: FakeRegistry, tmp_path: Path
) -> None:
    issuer = Issuer(tmp_path / ".modelog" / "issuer").open()
    address: str = registry.address
    description: dict[str, Any] = {
        "issuer": {"folder": str(issuer.folder)},
        "services": {"registry": {"address": address}},
    }
    (tmp_path / ".modelog" / "suite.json").write_text(json.dumps(description))

    def read(metadata: dict[str, str]) -> dict[str, Any]:
        key = jwt.PyJWKSet.from_json(issuer.jwks.read_text()).keys[0]
        claims: dict[str, Any] = jwt.decode(
            metadata["authorization"].removeprefix("Bearer "), key, ["EdDSA"], audience=AUDIENCE
        )
        return claims

    assert read(await sent(kind, registry))["sub"] == person()
    claims = read(await sent(kind, registry, actor="serviceaccounts/ci", on_behalf_of=["users/ada"]))
    assert (claims["sub"], claims["act"]) == ("users/ada", {"sub": "serviceaccounts/ci"})
    description["services"]["registry"]["address"] = "127.0.0.1:1"
    (tmp_path / ".modelog" / "suite.json").write_text(json.dumps(description))
    assert "authorization" not in await sent(kind, registry)


async def test_a_token_does_not_cross_a_network_in_the_clear() -> None:
    async with connect(registry="registry.example.org:443", token="abc") as client:
        with pytest.raises(NotConfigured, match=r"in the clear.*MODELOG_CA_FILE"):
            _ = client.registry


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("unix:/run/x", True),
        ("127.0.0.1.example.org:1", False),
        ("localhost.example.org:1", False),
        ("127.example.org:1", False),
        ("10.0.0.1:1", False),
        ("dns:///localhost:1", False),
        ("registry:1", False),
    ],
)
def test_what_is_not_plainly_this_machine_is_not(address: str, local: bool) -> None:
    assert is_loopback(address) is local


def test_a_token_is_fetched_again_before_it_expires() -> None:
    lives = [made(11), made(600), made(1200)]
    tokens = Tokens(lambda: lives.pop(0))
    assert tokens.ready() == ""
    first = tokens.fetched()
    time.sleep(1.1)  # What is left is the reserve of 10 seconds.
    second = tokens.fetched()
    assert first != second
    assert tokens.ready() == second == tokens.fetched()
    assert len(lives) == 1


@pytest.mark.parametrize("text", ["", " ", "a\nb", "ä", "a\0"])
def test_what_is_no_token_is_said_before_it_is_sent(text: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(text)
    for tokens in (of_text(lambda: text), of_file(tmp_path / "token")):
        with pytest.raises(NotConfigured):
            tokens.fetched()


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    assert tls() is None
    with pytest.raises(NotConfigured, match="MODELOG_KEY_FILE"):
        tls(certificate_file="cert.pem")
    with pytest.raises(NotConfigured, match="nowhere"):
        tls(ca_file=tmp_path / "nowhere")


@KINDS
async def test_over_tls_a_token_goes_anywhere(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    start = datetime.now(UTC) - timedelta(minutes=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), start, start + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = certificate.public_bytes(Encoding.PEM)
    (tmp_path / "ca.pem").write_bytes(public)
    fake, server = FakeRegistry(), grpc.aio.server()
    server.add_generic_rpc_handlers([handler("modelog.registry.v1.RegistryService", rpc, fake)])
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(private, public)]))
    await server.start()
    monkeypatch.setenv("MODELOG_CA_FILE", str(tmp_path / "ca.pem"))
    fake.address = f"127.0.0.1:{port}"
    assert (await sent(kind, fake, token="abc"))["authorization"] == "Bearer abc"
    await server.stop(None)
