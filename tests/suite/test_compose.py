"""docker-compose.yml and nats.conf, held against what the services and the embedded suite say. No engine is needed."""

import dataclasses
import importlib
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from cryptography import x509
from cryptography.x509 import verification

from suite.certificates import Authority, days_left
from suite.credentials import SERVICES, main, make
from suite.log_rights import API_PREFIX, USERS, configuration
from suite.postgres_roles import KINDS
from suite.suite import SERVICES as MEMBERS
from tests.suite.engine import compose_command

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PORT = 50051


def settings_of(service: str) -> dict[str, bool]:
    """The MODELOG_ names a service knows, and whether each must be set."""
    cls = importlib.import_module(f"services.{service}.settings").Settings
    return {f"MODELOG_{field.name.upper()}": field.default is dataclasses.MISSING for field in dataclasses.fields(cls)}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_given_all_that_it_needs_and_nothing_it_does_not_know(service: str) -> None:
    known = settings_of(service)
    given = {name for name in COMPOSE["services"][service]["environment"] if name.startswith("MODELOG_")}
    assert given <= known.keys()
    assert {name for name, needed in known.items() if needed} <= given
    environment = COMPOSE["services"][service]["environment"]
    assert environment["MODELOG_NATS_USER"] == service
    assert environment["MODELOG_NATS_API_PREFIX"] == API_PREFIX


@pytest.mark.parametrize("service", SERVICES)
def test_what_the_image_and_the_embedded_suite_set_is_known_too(service: str) -> None:
    image = set(re.findall(r"MODELOG_[A-Z_]+(?==)", (ROOT / "deploy" / "Dockerfile").read_text()))
    assert image
    assert image <= settings_of(service).keys()
    assert {f"MODELOG_{name.upper()}" for name in MEMBERS[service].settings} <= settings_of(service).keys()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_waits_for_its_streams_and_views_and_is_reached_from_this_machine_only(service: str) -> None:
    described = COMPOSE["services"][service]
    assert described["depends_on"]["provision"]["condition"] == "service_completed_successfully"
    assert described["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert any(port.endswith(f":{PORT}") for port in described["ports"])
    assert all(port.startswith("127.0.0.1:") for port in described["ports"])
    assert f"credentials-{service}:/credentials:ro" in described["volumes"]
    others = [volume for volume in described["volumes"] if volume.startswith("credentials-")]
    assert len(others) == 1


def test_published_ports_differ_and_volumes_are_declared() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert len({port.rpartition(":")[0] for port in ports}) == len(ports)
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).exists()


def test_every_user_of_the_log_has_an_account_and_a_password_of_its_own() -> None:
    text = configuration({user: f"password of {user}" for user in USERS})
    assert [user for user in USERS if text.count(f'"password of {user}"') == 1] == list(USERS)
    accounts = re.findall(r"^  ([A-Z]+) \{", text, flags=re.MULTILINE)
    assert len(accounts) == len(set(accounts)) == len(USERS)
    assert "no_auth_user" not in text
    assert "$SYS" not in text


@pytest.mark.parametrize("service", SERVICES)
def test_everything_goes_over_the_network_under_tls(service: str) -> None:
    environment = COMPOSE["services"][service]["environment"]
    for kind, role in (("", "projector"), ("READER_", "reader"), ("OWNER_", "owner")):
        url = urlsplit(environment[f"MODELOG_POSTGRES_{kind}URL"])
        assert url.username == f"{service}_{role}"
        assert url.password is None
        assert parse_qs(url.query) == {
            "passfile": ["/credentials/pgpass"],
            "sslmode": ["verify-full"],
            "sslrootcert": ["/credentials/ca.crt"],
        }
    assert environment["MODELOG_NATS_CA_FILE"] == environment["MODELOG_TLS_CLIENT_CA_FILE"] == "/credentials/ca.crt"
    assert environment["MODELOG_IDENTITY"] == "roles"
    assert "MODELOG_DEVELOPMENT_ANYWHERE" not in environment
    assert "/credentials/ca.crt" in COMPOSE["services"][service]["healthcheck"]["test"]
    for line in (ROOT / "deploy" / "postgres" / "pg_hba.conf").read_text().splitlines():
        assert line.startswith(("#", "local ", "hostssl "))
        assert line.startswith("#") or line.endswith("scram-sha-256")
    assert "-c ssl=on" in COMPOSE["services"]["postgres"]["command"]


def test_the_development_identity_is_laid_over_it_explicitly() -> None:
    over = yaml.safe_load((ROOT / "docker-compose.development.yml").read_text())["services"]
    assert set(over) == set(SERVICES)
    for service in SERVICES:
        assert over[service]["environment"].keys() <= settings_of(service).keys()
        assert over[service]["environment"]["MODELOG_IDENTITY"] == "development"


def test_credentials_are_made_once_and_each_holder_gets_its_own(tmp_path: Path) -> None:
    files = make(tmp_path)
    before = {path: path.read_text() for path in files}
    main(tmp_path)
    assert {path: path.read_text() for path in make(tmp_path)} == before
    assert {path.stat().st_mode & 0o777 for path in files} == {0o400}
    for service in SERVICES:
        assert (tmp_path / service / "nats").read_text() == (tmp_path / "nats" / service).read_text()
        lines = (tmp_path / service / "pgpass").read_text().splitlines()
        assert [line.split(":")[3] for line in lines] == [f"{service}_{kind}" for kind in KINDS]
        for line in lines:
            assert line.split(":")[4] == (tmp_path / "postgres" / line.split(":")[3]).read_text()
        held = {path.name for path in (tmp_path / service).iterdir()}
        assert held - {"inference"} == {"nats", "pgpass", "ca.crt", "tls.crt", "tls.key"}
    holders = {path.name for path in tmp_path.iterdir()}
    mounted = {name.removeprefix("credentials-") for name in COMPOSE["volumes"] if name.startswith("credentials-")}
    assert holders == mounted
    keeper = [name for name, one in COMPOSE["services"].items() if "credentials-authority" in str(one.get("volumes"))]
    assert keeper == ["credentials"]


@pytest.mark.parametrize("holder", ["nats", "postgres", *SERVICES])
def test_a_certificate_is_good_for_its_holder_and_renewed_before_it_ends(holder: str, tmp_path: Path) -> None:
    make(tmp_path)
    path = tmp_path / holder / "tls.crt"
    roots = verification.Store(x509.load_pem_x509_certificates((tmp_path / holder / "ca.crt").read_bytes()))
    builder = verification.PolicyBuilder().store(roots)
    first = x509.load_pem_x509_certificate(path.read_bytes())
    builder.build_server_verifier(x509.DNSName(holder)).verify(first, [])
    with pytest.raises(verification.VerificationError):
        builder.build_server_verifier(x509.DNSName("elsewhere")).verify(first, [])
    if holder in SERVICES:
        names = builder.build_client_verifier().verify(first, []).subjects or []
        assert x509.UniformResourceIdentifier(f"spiffe://modelog/svc/{holder}") in names
    authority = Authority.kept(tmp_path / "authority")
    authority.issue(holder, hosts=[holder], days=9).write(tmp_path / holder, "tls")
    make(tmp_path)
    assert days_left(path) > 29


def test_compose_itself_takes_the_file() -> None:
    compose = compose_command()
    if compose is None:
        pytest.skip("neither `docker compose` nor docker-compose is installed: the file was only read as YAML")
    done = subprocess.run(
        [*compose, "-f", str(ROOT / "docker-compose.yml"), "config", "-q"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
