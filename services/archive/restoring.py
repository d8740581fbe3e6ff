"""Puts the log back from the archive's copy: the same bytes under the same subjects at the same revisions.

Views need nothing more, since every service folds them from the log; checkpoints, cosignatures and keys lie beside the
copy and go on as they are. Nothing is written before the copy has been seen to lead to every root that was signed.
"""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from kernel.fold import event_type
from kernel.jetstream import STREAM
from kernel.log import Entry
from services.archive.checkpoint import BadNote
from services.archive.checkpoints import Checkpoints
from services.archive.keys import open_signed
from services.archive.merkle import leaf_hash
from services.archive.reading import fact_in
from services.archive.scrub.reference import Edge
from services.archive.vault.vault import Vault

_TOGETHER = 256  # Appends on their way at once; each says behind which revision it belongs.
_MOST = 1 << 62


class RestoreRefused(Exception):
    """Nothing was written, or nothing that is not in the copy. reason is UPPER_SNAKE and stable."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


def check_copy(data: Path, origin: str) -> int:
    """Size of the copy in the archive's folder, once it leads to every signed root. RestoreRefused otherwise."""
    checkpoints = Checkpoints(data / "notary", origin)
    heads = {}
    for place in range(checkpoints.count()):
        try:
            head = open_signed(data / "notary", checkpoints.number(place).note)
        except BadNote as bad:
            raise RestoreRefused("CHECKPOINT_WRONG", f"checkpoint {place + 1}: {bad}; see `audit scrub`") from bad
        heads[head.size] = head.root
    edge = Edge()
    for entry in Vault(data / "copy").read(1, _MOST):
        if entry.revision != edge.size + 1:
            raise RestoreRefused("COPY_DAMAGED", f"the copy goes on at {entry.revision} behind {edge.size}")
        edge.push(leaf_hash(entry.payload))
        if edge.size in heads and heads[edge.size] != edge.root():
            raise RestoreRefused("COPY_WRONG", f"the first {edge.size} facts do not lead to the root signed for them")
    if heads and edge.size < max(heads):
        raise RestoreRefused("COPY_SHORT", f"{max(heads)} facts were signed, the copy has {edge.size}")
    if not edge.size:
        raise RestoreRefused("COPY_EMPTY", f"there is no copy in {data / 'copy'}")
    return edge.size


async def restore(client: Client, data: Path, origin: str, *, go_on: bool = False) -> int:
    """Fills the empty stream LIFECYCLE; returns how many facts it holds now. client: may publish on every subject.

    go_on: the stream may hold a beginning of the copy, from a restore that was broken off; each of its facts is
    compared. Raises RestoreRefused.
    """
    size = await asyncio.to_thread(check_copy, data, origin)
    vault, stream = Vault(data / "copy"), client.jetstream()
    there = await _there(stream, vault, size, go_on=go_on)
    for part in _parts(vault.read(there + 1, size)):
        await _append(stream, part)
    await _compare(stream, vault, size)
    return size


async def _there(stream: JetStreamContext, vault: Vault, size: int, *, go_on: bool) -> int:
    """How many facts the stream holds already."""
    state = (await stream.stream_info(STREAM)).state
    if not state.last_seq:
        return 0
    if not go_on:
        raise RestoreRefused("LOG_NOT_EMPTY", f"the log holds {state.messages} facts; restore into an empty one")
    if state.messages != state.last_seq or state.last_seq > size:
        raise RestoreRefused("LOG_DIVERGES", "the log is longer than the copy, or not whole")
    await _compare(stream, vault, state.last_seq)
    return state.last_seq


async def _append(stream: JetStreamContext, part: Sequence[Entry]) -> None:
    try:
        answers = await asyncio.gather(
            *(stream.publish(one.subject, one.payload, headers=_headers(one)) for one in part)
        )
    except NatsError as error:
        text = f"an append from {part[0].revision} on was refused: {error}; look at the log, then go on"
        raise RestoreRefused("LOG_REFUSES", text) from error
    for one, answer in zip(part, answers, strict=True):
        if answer.seq != one.revision:
            raise RestoreRefused("LOG_DIVERGES", f"revision {one.revision} was stored as {answer.seq}")


def _headers(entry: Entry) -> dict[str, str]:
    """As the service that recorded the fact sent it, but behind an exact place of the whole log."""
    headers = {"Nats-Expected-Last-Sequence": str(entry.revision - 1)}
    fact = fact_in(entry.payload, entry.subject)
    return headers | ({"Nats-Msg-Id": fact.id, "ce-type": event_type(fact)} if fact and fact.id else {})


async def _compare(stream: JetStreamContext, vault: Vault, size: int) -> None:
    """Every fact of the log is the one of the copy, byte for byte, at its revision."""
    reading = await stream.subscribe("lifecycle.>", stream=STREAM, ordered_consumer=True)
    try:
        for entry in vault.read(1, size):
            message = await reading.next_msg(timeout=30)
            found = Entry(message.metadata.sequence.stream, message.subject, message.data)
            if found != entry:
                raise RestoreRefused("LOG_DIVERGES", f"revision {entry.revision} of the log is not that of the copy")
    finally:
        await reading.unsubscribe()


def _parts(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    part: list[Entry] = []
    for entry in entries:
        part.append(entry)
        if len(part) == _TOGETHER:
            yield part
            part = []
    if part:
        yield part
