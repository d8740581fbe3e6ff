"""Services by their certificates, over a real handshake: the names a verified certificate has, through the door."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from access.authority import RoleAuthority
from access.credentials import proofs
from kernel.access_log import Journal
from kernel.rooms import now
from kernel.rpc import Door
from kernel.settings import Settings
from kernel.status_servicer import StatusServicer
from modelog.access.v1.types_pb2 import AccessRecord, KnownProject
from modelog.sdk.channels import tls
from modelog.sdk.errors import refused
from modelog.status.v1 import status_service_pb2 as rpc
from modelog.status.v1 import status_service_pb2_grpc as stubs
from tests.access.forge import Forge, bearer

DOMAIN = "modelog.example.org"


class Authorities:
    """An authority for certificates; `issue` writes <name>.pem and <name>.key."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.ca.pem"
        own = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(True, None), critical=True)
        self.file.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def issue(self, name: str, *names: x509.GeneralName) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, key).add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate, private = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, private

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        start = datetime.now(UTC) - timedelta(minutes=1)
        serial = x509.random_serial_number()
        return x509.CertificateBuilder(self._name, subject, key.public_key(), serial, start, start + timedelta(days=1))


@dataclass
class Place:
    """A door under mutual TLS, and what it recorded."""

    folder: Path
    ours: Authorities
    forge: Forge
    port: int = 0
    records: list[AccessRecord] = field(default_factory=list)

    async def record(self, record: AccessRecord) -> None:
        self.records.append(record)

    async def who(self, files: tuple[Path, Path], *metadata: tuple[str, str]) -> rpc.WhoAmIResponse:
        credentials = tls(self.ours.file, *files)
        assert credentials is not None
        async with grpc.aio.secure_channel(f"127.0.0.1:{self.port}", credentials, _TARGET) as channel:
            stub: Any = stubs.StatusServiceStub(channel)
            reply: rpc.WhoAmIResponse = await stub.WhoAmI(rpc.WhoAmIRequest(), metadata=metadata, timeout=10)
            return reply


_TARGET = (("grpc.ssl_target_name_override", "registry"), ("grpc.enable_http_proxy", 0))


@asynccontextmanager
async def door(folder: Path) -> AsyncIterator[Place]:
    place = Place(folder, Authorities(folder, "ours"), Forge(folder / "forge"))
    proving = proofs(Settings(nats_url="", postgres_url="", **place.forge.settings(trust_domain=DOMAIN)), now)

    async def nothing(*_asked: Any) -> Any:
        return KnownProject()

    behind: Any = None
    servicer = StatusServicer("registry", behind, behind, behind, now(), list, behind)
    authority = RoleAuthority(proving, nothing, lambda _name: None, nothing, nothing, now)
    made = Door(authority, now, Journal(place, "registry", now))
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([made.handler(rpc.DESCRIPTOR.services_by_name["StatusService"], servicer)])
    certificate, key = place.ours.issue("server", x509.DNSName("registry"))
    pair = (key.read_bytes(), certificate.read_bytes())
    credentials = grpc.ssl_server_credentials([pair], place.ours.file.read_bytes(), require_client_auth=True)
    place.port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield place
    finally:
        await server.stop(None)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with door(tmp_path) as made:
        yield made


def uri(text: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(text)


async def test_a_service_is_known_by_its_certificate_and_says_for_whom_it_acts(place: Place) -> None:
    files = place.ours.issue("deployment", uri(f"spiffe://{DOMAIN}/svc/deployment"), x509.DNSName("anything"))
    told = await place.who(files, ("x-modelog-on-behalf-of", "users/ada"))
    assert (told.principal.id, told.principal.auth_method) == ("services/deployment", "mtls")
    assert [(one.id, one.auth_method) for one in told.on_behalf_of] == [("users/ada", "asserted")]
    by_token = await place.who(files, *bearer(place.forge.token()))
    assert (by_token.principal.id, by_token.principal.auth_method) == ("users/ada", "oidc")


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["spiffe://other.example.org/svc/registry"], "CERTIFICATE_TRUST_DOMAIN"),
        ([f"spiffe://{DOMAIN}/user/ada"], "CERTIFICATE_NAME"),
        ([f"spiffe://{DOMAIN}/svc/a", f"spiffe://{DOMAIN}/svc/b"], "CERTIFICATE_NAME"),
        ([], "TOKEN_MISSING"),
    ],
)
async def test_a_certificate_of_ours_with_another_name_is_nobody(place: Place, names: list[str], reason: str) -> None:
    files = place.ours.issue("client", *map(uri, names), x509.DNSName("registry"))
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await place.who(files)
    assert (failed.value.code(), refused(failed.value).reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)
    assert [record.reason for record in place.records] == [reason]


async def test_the_right_name_from_another_authority_never_reaches_the_door(place: Place) -> None:
    theirs = Authorities(place.folder, "theirs")
    forged = theirs.issue("forged", uri(f"spiffe://{DOMAIN}/svc/registry"))
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await place.who(forged)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert place.records == []
