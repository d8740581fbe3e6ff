"""What a caller can get wrong: every refusal names its field or its reason, and leaves the log alone."""

import re
from pathlib import Path
from typing import Any

import pytest

from modelog.registry.v1 import collaboration_service_pb2, webhook_service_pb2
from modelog.registry.v1 import registry_service_pb2 as rpc
from tests.registry.build import VERSION_NAME
from tests.registry.office import Office, refused
from tests.registry.wrong import FIELDS, REASONS, RIGHT

METHODS = sorted(
    one.name
    for file in (rpc, collaboration_service_pb2, webhook_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for one in service.methods
)


def ask(registry: Office, method: str, changes: dict[str, Any]) -> Any:
    """The call of a request that is right but for the changes."""
    return getattr(registry, method)(**{**RIGHT.get(method, {}), **changes})


async def test_every_wrong_request_is_refused_by_field_or_reason_and_appends_nothing(registry: Office) -> None:
    await registry.found_model()
    assert await registry.register() == VERSION_NAME
    head = await registry.live.rooms.resources.catch_up()
    for method, changes, field in FIELDS:
        code, _, named = await refused(ask(registry, method, changes))
        assert (code, named[:1]) == ("INVALID_ARGUMENT", [field]), (method, changes)
    for method, changes, code, reason in REASONS:
        assert (await refused(ask(registry, method, changes)))[:2] == (code, reason), (method, changes)
    assert await registry.live.rooms.log.head() == head


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_called_rightly_by_some_test(method: str) -> None:
    files = Path(__file__).parent.glob("*.py")
    called = re.compile(rf"(registry|self)\.{method}\(|RegistryService/{method}\b|answered\(registry, .{method}.")
    assert any(called.search(file.read_text()) for file in files)


async def test_malformed_unknown_and_oversize_bytes_are_refused(registry: Office) -> None:
    assert (await refused(registry.GetProject(raw=b"\xff\xff")))[:2] == ("INVALID_ARGUMENT", "REQUEST_MALFORMED")
    code, _, fields = await refused(registry.GetProject(raw=b"\x0a\x0dprojects/risk\xfa\x3f\x01a"))
    assert (code, fields) == ("INVALID_ARGUMENT", ["#1023"])
    large = rpc.CreateProjectRequest(project_id="a", description="x" * 300_000).SerializeToString()
    assert (await refused(registry.CreateProject(raw=large)))[:2] == ("INVALID_ARGUMENT", "REQUEST_TOO_LARGE")


async def test_a_stale_etag_is_refused_and_the_right_one_accepted(registry: Office) -> None:
    await registry.found_model()
    version = await registry.register()
    etag = str((await registry.GetVersion(name=version, read={"at_least": 3})).generation)
    await registry.ChangeStage(name=version, to_stage="testing", etag=etag)
    stale = registry.ChangeStage(name=version, to_stage="staging", etag=etag)
    assert (await refused(stale))[:2] == ("ABORTED", "ETAG_MISMATCH")
