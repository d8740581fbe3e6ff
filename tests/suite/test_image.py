"""The images and docker-compose.yml on a real engine. Skipped, loudly, where no engine runs or no base can be had."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from modelog.registry.v1 import registry_service_pb2 as rpc
from suite.credentials import SERVICES
from suite.health import serving
from tests.suite.engine import (
    IMAGES,
    ROOT,
    available,
    base_image,
    build_stand_in,
    compose_command,
    engine_runs,
    packages,
    run,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
_HEALTHY_SECONDS = 180
_RUNNING = ["nats", "postgres", *SERVICES, "envoy"]


@pytest.fixture(scope="module")
def base() -> str:
    if not engine_runs():
        pytest.skip("NOT PROVED: no container engine answers; start one (`dockerd`), or set DOCKER_HOST")
    found = base_image()
    if found is None:
        pytest.skip("NOT PROVED: python:3.11-slim cannot be pulled; see tests/suite/images/make-base")
    return found


@pytest.fixture(scope="module")
def images(base: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """modelog-test-<service> for every service."""
    with packages(tmp_path_factory.mktemp("packages")) as arguments:
        for service in SERVICES:
            given = [
                "--build-arg",
                f"BASE={base}",
                "--build-arg",
                f"SERVICE={service}",
                "-t",
                f"modelog-test-{service}",
            ]
            run("docker", "build", "-f", ROOT / "deploy" / "Dockerfile", *arguments, *given, ROOT)


Compose = Callable[..., str]


@pytest.fixture(scope="module")
def compose(images: None, base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """Runs a command of compose on the file, with official servers where they can be pulled."""
    command = compose_command()
    if command is None:
        pytest.skip("NOT PROVED: neither `docker compose` nor docker-compose is installed")
    files = [ROOT / "docker-compose.yml", ROOT / "docker-compose.development.yml", IMAGES / "docker-compose.yml"]
    if not (available("nats:2.15.1-alpine") and available("postgres:18")):
        files.append(IMAGES / "docker-compose.stand-ins.yml")
        for name in ("nats", "postgres"):
            build_stand_in(name, base, tmp_path_factory.mktemp("stand-in"))
    chosen = [part for file in files for part in ("-f", str(file))]
    whole = [*command, "-p", f"modelog-test-{os.getpid()}", *chosen]

    def compose_on(*arguments: str) -> str:
        return run(*whole, *arguments)

    try:
        yield compose_on
    finally:
        subprocess.run([*whole, "down", "--volumes", "--timeout", "5"], capture_output=True, check=False)


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_holds_one_service_and_runs_without_rights(images: None, service: str) -> None:
    image = f"modelog-test-{service}"
    inside = ["docker", "run", "--rm", image, "sh", "-c"]
    assert run(*inside, "ls services") == service
    assert run(*inside, "id -u") == "10001"
    assert run(*inside, "touch /app/x 2>/dev/null || echo refused") == "refused"
    assert run(*inside, "python -m pip --version 2>/dev/null || echo none") == "none"
    bill = json.loads(run(*inside, "cat /packages/sbom.cdx.json"))
    assert {"grpcio", "nats-py"} <= {one["name"] for one in bill["components"]}
    assert run("docker", "inspect", "--format", "{{len .Config.Healthcheck.Test}}", image) != "0"
    started = subprocess.run(["docker", "run", "--rm", image], capture_output=True, text=True, timeout=60)
    assert started.returncode != 0
    assert "MODELOG_NATS_URL is missing" in started.stdout + started.stderr


async def test_compose_brings_everything_up_and_keeps_it_over_a_restart(compose: Compose, tmp_path: Path) -> None:
    compose("up", "-d", "--no-build", *_RUNNING)
    wait_healthy(compose, _RUNNING)
    ca_file = tmp_path / "ca.crt"
    ca_file.write_text(compose("exec", "-T", "registry", "cat", "/credentials/ca.crt"))
    for number in range(len(SERVICES)):
        assert await serving(f"127.0.0.1:{50051 + number}", ca_file=str(ca_file))
    first = create_project("first", ca_file)
    compose("kill", "nats", "postgres")
    compose("start", "nats", "postgres")
    wait_healthy(compose, _RUNNING)
    assert create_project("second", ca_file) > first
    assert create_project("first", ca_file) == first  # The same request gets its first answer: the log is still there.
    compose("stop", *SERVICES)
    for service in SERVICES:
        container = compose("ps", "-q", service)
        assert run("docker", "inspect", "--format", "{{.State.ExitCode}}", container) == "0", service


def create_project(project: str, ca_file: Path) -> int:
    """Calls the registry as a client would; the revision of the answer."""
    credentials = grpc.ssl_channel_credentials(ca_file.read_bytes())
    with grpc.secure_channel("127.0.0.1:50051", credentials) as channel:
        call = channel.unary_unary(
            "/modelog.registry.v1.RegistryService/CreateProject",
            request_serializer=rpc.CreateProjectRequest.SerializeToString,
            response_deserializer=rpc.CreateProjectResponse.FromString,
        )
        request = rpc.CreateProjectRequest(project_id=project, request_id=f"request-{project}")
        return int(call(request, timeout=20, wait_for_ready=True).revision)


def wait_healthy(compose: Compose, services: list[str]) -> None:
    deadline = time.monotonic() + _HEALTHY_SECONDS
    for service in services:
        state = ""
        while state != "healthy":
            assert time.monotonic() < deadline, f"{service} is {state}:\n{compose('logs', '--tail=40', service)}"
            container = compose("ps", "-q", service)
            state = run("docker", "inspect", "--format", "{{.State.Health.Status}}", container) if container else "gone"
            time.sleep(0 if state == "healthy" else 1)
