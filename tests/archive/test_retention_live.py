"""Rules over a running archive: set, previewed, reported, page by page."""

import grpc

from modelog.archive.v1 import archive_service_pb2 as archive_rpc
from modelog.archive.v1 import retention_service_pb2 as rpc
from modelog.archive.v1 import retentions_pb2 as types
from modelog.archive.v1.record_erasures_pb2 import (
    ARTIFACT_OUTCOME_SHARED,
)
from tests.archive.calls import Archive, refused
from tests.archive.expiring import (
    CASE,
    CONTENT,
    OTHER_RECORDED,
    RECORDED,
    RULE,
    SHA256,
    TEXTS,
    erased,
    later,
    look,
    place,
    preview,
    retentions,
    retire_other,
    set_rule,
)
from tests.archive.stories import OTHER, PROJECT, VERSION


async def test_the_report_tells_what_went_when_and_by_which_rule(up: Archive) -> None:
    await set_rule(up, days=30)
    await look(up, 31)
    record = await erased(up)
    asked = rpc.ListRecordErasuresRequest(parent=PROJECT)
    (told,) = (await retentions(up).ListRecordErasures(asked, timeout=10)).erasures
    assert (told.record, told.version, told.rule) == (RECORDED, VERSION, RULE)
    assert (list(told.paths), told.size_bytes) == (TEXTS, record.erased_bytes)
    assert (told.expire_time, told.erase_time) == (record.expire_time, record.erase_time)
    assert (told.artifact_sha256, told.artifact) == (SHA256, ARTIFACT_OUTCOME_SHARED)
    assert told.expire_revision < told.erase_revision == record.revision
    assert told.size_bytes > len(CONTENT)
    asked.from_time.FromDatetime(later(32))
    assert not (await retentions(up).ListRecordErasures(asked, timeout=10)).erasures
    asked = rpc.ListRecordErasuresRequest(parent=PROJECT)
    asked.read.as_of_revision = told.expire_revision
    assert not (await retentions(up).ListRecordErasures(asked, timeout=10)).erasures


async def test_a_preview_tells_what_would_go_and_what_is_held(up: Archive) -> None:
    await set_rule(up, filter="stages:production", days=30)
    set_at = await set_rule(up, id_="forever", filter="tags.use = credit", for_ever=True)
    assert await preview(up) == []
    (kept,) = await preview(up, include_kept=True)
    assert (kept.record, kept.rule, kept.expires, list(kept.holds)) == (RECORDED, RULE, False, [])
    (going,) = await preview(up, until_time=later(31))
    assert (going.expires, going.version, going.expire_time) == (True, VERSION, kept.expire_time)
    await place(up, query="deprecated = true")
    (held,) = await preview(up, until_time=later(31))
    assert (held.expires, list(held.holds)) == (False, [CASE])
    (unheld,) = await preview(up, until_time=later(31), read={"as_of_revision": set_at})
    assert unheld == going, "the past had no hold"
    assert await look(up, 31) == 0


async def test_pages_go_on_until_there_is_something_to_tell(up: Archive) -> None:
    await retire_other(up)
    await set_rule(up, days=30)
    stub, until = retentions(up), later(31)
    request = rpc.PreviewExpiryRequest(parent=PROJECT, until_time=until, page_size=1)
    first = await stub.PreviewExpiry(request, timeout=10)
    assert [one.record for one in first.records] == [RECORDED]
    request.page_token = first.next_page_token
    second = await stub.PreviewExpiry(request, timeout=10)
    assert ([one.record for one in second.records], second.next_page_token) == ([OTHER_RECORDED], "")
    await set_rule(up, filter="number = 31", days=30)
    request.page_token = ""
    only = await stub.PreviewExpiry(request, timeout=10)
    assert ([one.record for one in only.records], only.next_page_token) == ([OTHER_RECORDED], "")
    await place(up, query="number = 31")
    held = await stub.ListHeld(rpc.ListHeldRequest(name=CASE, page_size=1), timeout=10)
    assert ([one.version for one in held.versions], held.next_page_token) == ([OTHER], "")
    await up.stub.ReleaseHold(archive_rpc.ReleaseHoldRequest(name=CASE), timeout=10)
    await set_rule(up, days=30)
    assert await look(up, 31) == 2
    await erased(up)
    await erased(up, OTHER_RECORDED)
    report = rpc.ListRecordErasuresRequest(parent=PROJECT, page_size=1)
    one = await stub.ListRecordErasures(report, timeout=10)
    report.page_token = one.next_page_token
    other = await stub.ListRecordErasures(report, timeout=10)
    assert [told.record for told in (*one.erasures, *other.erasures)] == [RECORDED, OTHER_RECORDED]
    assert other.next_page_token == ""
    report.parent = "projects/other"
    assert (await refused(stub.ListRecordErasures(report, timeout=10)))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_rules_are_read_changed_and_removed(up: Archive) -> None:
    stub = retentions(up)
    revision = await set_rule(up, filter="stages:production", days=30, title="as agreed")
    found = await stub.GetRetention(rpc.GetRetentionRequest(name=RULE, read={"at_least": revision}), timeout=10)
    assert (found.settings.days, found.settings.title, found.state) == (30, "as agreed", types.RETENTION_STATE_ACTIVE)
    await set_rule(up, filter="stages:production", for_ever=True)
    assert await look(up, 40_000) == 0
    await stub.RemoveRetention(rpc.RemoveRetentionRequest(name=RULE), timeout=10)
    await up.live.rooms.resources.catch_up()
    (removed,) = (await stub.ListRetentions(rpc.ListRetentionsRequest(parent=PROJECT), timeout=10)).retentions
    assert removed.state == types.RETENTION_STATE_REMOVED
    invalid, missing = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
    wrong = rpc.SetRetentionRequest(
        parent=PROJECT, retention_id="x", settings=types.RetentionSettings(days=1, filter="stge = x")
    )
    assert (await refused(stub.SetRetention(wrong, timeout=10)))[0] is invalid
    nowhere = rpc.SetRetentionRequest(
        parent="projects/nowhere", retention_id="x", settings=types.RetentionSettings(days=1)
    )
    assert await refused(stub.SetRetention(nowhere, timeout=10)) == (missing, "PROJECT_NOT_FOUND")
    gone = rpc.RemoveRetentionRequest(name=f"{PROJECT}/retentions/none")
    assert await refused(stub.RemoveRetention(gone, timeout=10)) == (missing, "RETENTION_NOT_FOUND")
