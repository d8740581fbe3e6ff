"""A certificate authority for one installation: who has no other gets one made here, and tests make several.

Certificates are short-lived and renewed by being made again; nothing is ever revoked. Services are named as SPIFFE does
it, `spiffe://<trust domain>/svc/<name>`.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from suite.folder import replace

TRUST_DOMAIN = "modelog"
DAYS = 30
_AUTHORITY_DAYS = 3650
# Clocks of different machines may differ by so much.
_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """<name>.crt and <name>.key; the key first, so that a certificate is never seen before its key is there."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        folder.mkdir(parents=True, exist_ok=True)
        replace(key, self.key)
        replace(certificate, self.certificate)
        return certificate, key


def name_of(service: str, trust_domain: str = TRUST_DOMAIN) -> str:
    return f"spiffe://{trust_domain}/svc/{service}"


class Authority:
    """Signs certificates of servers and clients."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._certificate = x509.load_pem_x509_certificate(pair.certificate.encode())
        key = serialization.load_pem_private_key(pair.key.encode(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the authority's key is not one of those made here")
        self._key = key

    @classmethod
    def new(cls, name: str = "modelog") -> "Authority":
        key, subject = ec.generate_private_key(ec.SECP256R1()), _named(name)
        builder = _builder(subject, key, days=_AUTHORITY_DAYS).issuer_name(subject)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        usage = _usage(signs_certificates=True)
        return cls(_pair(builder.add_extension(usage, critical=True).sign(key, hashes.SHA256()), key))

    @classmethod
    def kept(cls, folder: Path) -> "Authority":
        """The authority of this folder, made at first use."""
        certificate, key = folder / "authority.crt", folder / "authority.key"
        if not certificate.exists():
            cls.new()._pair.write(folder, "authority")
        return cls(Pair(certificate.read_text(), key.read_text()))

    @property
    def certificate(self) -> str:
        return self._pair.certificate

    def issue(self, name: str, *, hosts: Sequence[str] = (), uris: Sequence[str] = (), days: float = DAYS) -> Pair:
        """For a server reached as one of `hosts` (names or addresses), for a client named by `uris`, or both."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [*map(_host, hosts), *map(x509.UniformResourceIdentifier, uris)]
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            _builder(_named(name), key, days=days)
            .issuer_name(self._certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(issuer, critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return _pair(builder.sign(self._key, hashes.SHA256()), key)


def days_left(certificate: Path) -> float:
    """Until a certificate ends; negative once it has."""
    ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    return (ends - datetime.now(UTC)) / timedelta(days=1)


def _builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: float) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode())
