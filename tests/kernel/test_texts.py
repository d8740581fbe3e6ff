"""Free text: what is marked, what stands in its place, and who can tell what it was."""

import base64
from datetime import UTC, datetime
from typing import Any, cast

import orjson
import pytest

from kernel import texts as module
from kernel.cause import Cause
from kernel.context import Context
from kernel.erasable import erasable, without_texts
from kernel.errors import Invalid, Unavailable
from kernel.fold import pack
from kernel.identity import Caller
from kernel.parsing import parse
from kernel.texts import Texts
from modelog.archive.v1.archive_service_pb2 import GetHistoryResponse
from modelog.deployment.v1 import environment_events_pb2 as environments
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import collaboration_events_pb2 as facts
from modelog.registry.v1 import collaboration_service_pb2 as rpc
from modelog.rewriting import strings
from modelog.sdk.facts import Entry
from modelog.texts import ERASED, MARKER, UNAVAILABLE, author_of, commitment, marker, markers_in, opened
from modelog.type.v1.principal_pb2 import Principal


class Store:
    """The stream, in memory: what `Texts` asks of the server."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.is_connected = True
        self.broken = False

    def new_inbox(self) -> str:
        return "inbox"

    async def ask(self, subject: str, payload: bytes, **_: Any) -> bytes:
        if self.broken:
            raise TimeoutError
        if not subject.startswith("$JS.API.STREAM.MSG.GET"):
            if subject in self.kept:
                return orjson.dumps({"error": {"err_code": 10077}})
            self.kept[subject] = payload
            return b"{}"
        found = self.kept.get(orjson.loads(payload)["last_by_subj"])
        if found is None:
            return orjson.dumps({"error": {"err_code": 10037}})
        return orjson.dumps({"message": {"seq": 1, "data": base64.b64encode(found).decode()}})


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    one = Store()
    monkeypatch.setattr(module, "Asker", lambda _: one)
    return one


def texts(store: Store) -> Texts:
    return Texts(cast(Any, store), "registry", api_prefix="$JS.API")


def cause(actor: str = "users/ann", **fields: Any) -> Cause:
    return Cause(Principal(id=actor), "r1", datetime(2026, 1, 1, tzinfo=UTC), **fields)


async def test_marked_fields_and_the_reason_go_and_nothing_else(store: Store) -> None:
    event = facts.ThreadOpened(title="Drift", body="Ben was rude", mentions=["users/ben"])
    hidden, reason = await texts(store).hidden(event, cause(reason="he asked"))
    assert (hidden.title, list(hidden.mentions), event.body) == ("Drift", ["users/ben"], "Ben was rude")
    assert MARKER.fullmatch(hidden.body)
    assert MARKER.fullmatch(reason)
    assert hidden.body.split(":")[1] == author_of("users/ann")
    assert sorted(one[16:] for one in store.kept.values()) == [b"Ben was rude", b"he asked"]
    again, _ = await texts(store).hidden(event, cause())
    assert again.body != hidden.body, "the salt is nobody's to guess, so equal texts look different"


async def test_the_attempts_at_one_command_keep_one_text(store: Store) -> None:
    one = texts(store)
    event = facts.CommentPosted(body="x")
    assert await one.hidden(event, cause()) == await one.hidden(event, cause())
    assert len(store.kept) == 1


async def test_it_is_the_text_of_whom_somebody_acted_for_and_of_no_service(store: Store) -> None:
    event = facts.CommentPosted(body="x")
    agent = cause("services/agent", on_behalf_of=(Principal(id="users/bot"), Principal(id="users/ann")))
    assert (await texts(store).hidden(event, agent))[0].body.split(":")[1] == author_of("users/ann")
    hidden, reason = await texts(store).hidden(event, cause("services/registry", reason="it was due"))
    assert (hidden.body, reason) == ("x", "it was due")


async def test_nothing_is_recorded_when_a_text_could_not_be_kept(store: Store) -> None:
    store.broken = True
    with pytest.raises(Unavailable) as error:
        await texts(store).hidden(facts.CommentPosted(body="x"), cause())
    assert error.value.reason == "TEXT_NOT_KEPT"


async def test_answers_show_the_text_or_why_there_is_none(store: Store) -> None:
    one = texts(store)
    hidden, reason = await one.hidden(facts.CommentPosted(body="x"), cause(reason="y"))
    fact = Fact(resource="projects/p/models/m/threads/1", reason=reason, event=pack(hidden))
    reply = GetHistoryResponse()
    reply.entries.add().fact.CopyFrom(fact)
    assert [*strings(fact)][:1] == [hidden.body]

    async def seen() -> tuple[str, str]:
        data = await one.shown(GetHistoryResponse, reply.SerializeToString())
        shown = GetHistoryResponse.FromString(data).entries[0].fact
        return facts.CommentPosted.FromString(shown.event.value).body, shown.reason

    assert await seen() == ("x", "y")
    assert await one.sentence_shown(f"rejected: {reason}!") == "rejected: y!"
    store.is_connected = False
    assert await seen() == (UNAVAILABLE, UNAVAILABLE)
    store.is_connected = True
    store.kept = {subject: kept for subject, kept in store.kept.items() if kept.endswith(b"y")}
    assert await seen() == (ERASED, "y")


def test_marks_are_found_within_messages() -> None:
    event = environments.FreezeLifted()
    event.lift.reason = "the shop is down"
    assert [(name, path) for _, name, path in erasable(event)] == [("reason", "lift.reason")]


def test_a_text_is_recognized_by_its_salt() -> None:
    salt = b"0" * 16
    mark = marker("users/ann", salt, "yes")
    assert opened(mark, salt + b"yes") == "yes"
    assert opened(mark, salt + b"no") is None
    assert mark.endswith(commitment(salt, b"yes"))
    assert markers_in(f"{mark} and {mark}".encode()) == [mark]


def test_a_request_is_told_by_what_is_no_free_text_of_it() -> None:
    def digests(**fields: Any) -> tuple[bytes, bytes]:
        request = rpc.PostCommentRequest(name="projects/p/models/m/threads/1", request_id="r", **fields)
        caller = Caller(Principal(id="users/ann"))
        made = Context(caller, request, "M", datetime(2026, 1, 1, tzinfo=UTC), {}, cast(Any, None)).cause()
        return made.request_digest, made.whole_digest

    first, second = digests(body="a", reason="b"), digests(body="c")
    assert first[0] == second[0]
    assert first[1] != second[1]
    request = rpc.GetThreadRequest(name="x")
    assert without_texts(request) is request


def test_a_marker_in_a_request_is_refused() -> None:
    mark = marker("users/ann", b"0" * 16, "yes")
    request = rpc.PostCommentRequest(name="projects/p/models/m/threads/1", body=f"see {mark}")
    with pytest.raises(Invalid) as error:
        parse(rpc.PostCommentRequest, request.SerializeToString())
    assert error.value.reason == "TEXT_RESERVED"


def test_an_entry_with_texts_shows_them_and_keeps_its_bytes() -> None:
    mark = marker("users/ann", b"0" * 16, "yes")
    payload = Fact(reason=mark, event=pack(facts.CommentPosted(body=mark))).SerializeToString()
    entry: Any = Entry(1, "s", payload, {mark: "yes"})
    assert (entry.fact.reason, entry.event.body, entry.payload) == ("yes", "yes", payload)
    assert Entry(1, "s", payload).fact == Fact.FromString(payload)
