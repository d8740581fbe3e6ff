"""Settings come from MODELOG_* variables; a missing or unknown name stops the start, so no typo runs unnoticed."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from kernel.tls import ClientTls

_PREFIX = "MODELOG_"
ROLES = ("rpc", "projector", "reactor", "controller")


@dataclass(frozen=True)
class Settings:
    """What every service needs. A service adds fields in a subclass; a field without default must be set."""

    nats_url: str
    # Where the views are, as a role that may write rows there. Secrets stand in a file that the url names (passfile).
    postgres_url: str
    # As one that only reads, and as the owner of the tables, used while the service starts. postgres_url when empty.
    postgres_reader_url: str = ""
    postgres_owner_url: str = ""
    # Address of the gRPC door and of /metrics, /livez, /readyz; port 0 picks a free one.
    listen: str = "127.0.0.1:0"
    admin_listen: str = "127.0.0.1:0"
    # Certificate and key (PEM) of the door; read again when they change. Without them it speaks plain text.
    tls_certificate_file: str = ""
    tls_key_file: str = ""
    # A second door for those who come with a certificate of this authority instead of a token; empty: none.
    mutual_listen: str = ""
    tls_client_ca_file: str = ""
    nats_user: str = ""
    nats_password_file: str = ""
    # Whom to believe to be the log's server, which then has to speak TLS; and what to show it where it asks.
    nats_ca_file: str = ""
    nats_certificate_file: str = ""
    nats_key_file: str = ""
    # Where the log's account exports its API to.
    nats_api_prefix: str = "$JS.API"
    # Schema of the views; the service's own name when empty.
    schema: str = ""
    roles: str = ",".join(ROLES)
    # Files that are neither log nor view: keys, checkpoints, caches.
    data_dir: str = ".modelog"
    # Content-addressed files: <dir>/sha256/<hex>.
    artifacts_dir: str = ".modelog/artifacts"
    # `roles` asks for credentials and for roles. `development` believes what the caller says of itself and allows
    # everything; it listens on loopback only unless told otherwise.
    identity: str = "development"
    development_anywhere: bool = False
    # How `roles` knows people and jobs: JWTs of this issuer for this audience, verified with the keys in a file or at a
    # URL (JWKS). claim: what names a person, as users/<claim>. trusts_subjects: a sub like users/ada is taken as it is.
    oidc_issuer: str = ""
    oidc_audience: str = "modelog"
    oidc_keys: str = ""
    oidc_claim: str = "sub"
    oidc_trusts_subjects: bool = False
    # How long a token may live at most, and how long a key that its issuer withdrew.
    oidc_lifetime_seconds: float = 900.0
    oidc_refresh_seconds: float = 4.0
    # How `roles` knows services: certificates for spiffe://<trust domain>/svc/<name>; empty takes none.
    trust_domain: str = ""
    # Who administers all projects without having been granted it, so that somebody can begin: principal ids, by commas.
    administrators: str = ""
    log_level: str = "info"
    # Share of requests traced when no caller decided; spans are exported where OTEL_EXPORTER_OTLP_ENDPOINT says.
    trace_share: float = 0.01
    drain_seconds: float = 5.0
    # Views are compared with what the log makes of them, over and over: the share of the time that takes, and the rest
    # before each.
    compare_share: float = 0.1
    compare_pause_seconds: float = 300.0
    reflection: bool = True
    # What one principal may ask of one process: calls a second and what it may save up for a burst, calls and streams
    # at once. What one address may have recorded of calls without valid credentials. 0 lifts a limit.
    calls_per_second: float = 5_000
    calls_burst: float = 10_000
    calls_at_once: int = 500
    streams_at_once: int = 100
    strangers_per_second: float = 10
    strangers_burst: float = 100
    # A connection is asked to come anew after its age, and has the grace to end what runs; idle ones are closed.
    connection_age_seconds: float = 1800
    connection_grace_seconds: float = 300
    connection_idle_seconds: float = 600

    def has_role(self, role: str) -> bool:
        return role in self.roles.split(",")

    def nats_password(self) -> str:
        """As the file has it now: it is asked for at each connection."""
        return Path(self.nats_password_file).read_text().strip() if self.nats_password_file else ""

    @property
    def nats_tls(self) -> ClientTls:
        return ClientTls(self.nats_ca_file, self.nats_certificate_file, self.nats_key_file)


AnySettings = TypeVar("AnySettings", bound=Settings)


def load(cls: type[AnySettings], environment: Mapping[str, str] | None = None) -> AnySettings:
    """The settings in the environment; SystemExit with every missing, unknown or malformed name."""
    given = {k: v for k, v in (os.environ if environment is None else environment).items() if k.startswith(_PREFIX)}
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for field in dataclasses.fields(cls):
        name = _PREFIX + field.name.upper()
        if name in given:
            try:
                values[field.name] = _parse(hints[field.name], given.pop(name))
            except ValueError as error:
                wrong.append(f"{name}: {error}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            wrong.append(f"{name} is missing")
    wrong.extend(f"{name} is unknown" for name in given)
    roles = str(values.get("roles", "rpc")).split(",")
    wrong.extend(f"MODELOG_ROLES: {role!r} is none of {', '.join(ROLES)}" for role in roles if role not in ROLES)
    if wrong:
        raise SystemExit("settings: " + "; ".join(sorted(wrong)))
    return cls(**values)


def _parse(kind: Any, text: str) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text.lower() == "true"
    return kind(text)


def exports_traces() -> bool:
    """Whether OpenTelemetry's own variables name a collector."""
    return any(os.environ.get(f"OTEL_EXPORTER_OTLP_{name}ENDPOINT") for name in ("", "TRACES_"))
