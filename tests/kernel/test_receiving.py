"""The short way into the client gives the same messages as nats-py's own, in order, and survives the server."""

import asyncio

from kernel.jetstream import connect
from kernel.receiving import Receiver, header, status_of
from suite.nats_server import NatsServer

Message = tuple[bytes, bytes, bytes, bytes]


async def client_of(nats: NatsServer) -> Receiver:
    password = nats.password_file("provision").read_text().strip()
    return await connect(nats.address, name="provision", user="provision", password=password)


async def arrived(messages: list[Message], count: int) -> None:
    async with asyncio.timeout(10):
        while len(messages) < count:
            await asyncio.sleep(0.01)


async def test_messages_come_whole_and_in_order(nats: NatsServer) -> None:
    client = await client_of(nats)
    taken: list[Message] = []
    end = await client.receive("here.*", lambda *message: taken.append(message))
    await client.publish("here.1", b"\0\r\n\xff", reply="there")
    await client.publish("here.2", b"", headers={"Key": "a value"})
    for number in range(3, 100):
        await client.publish(f"here.{number}", b"x" * number)
    await arrived(taken, 99)
    assert taken[0] == (b"here.1", b"there", b"\0\r\n\xff", b"")
    subject, reply, data, headers = taken[1]
    assert (subject, reply, data) == (b"here.2", b"", b"")
    assert (header(headers, "Key"), header(headers, "Other"), status_of(headers)) == ("a value", "", "")
    assert [len(one[2]) for one in taken[2:]] == list(range(3, 100))
    await end()
    await client.publish("here.1", b"late")
    await client.flush()
    assert len(taken) == 99
    await client.close()


async def test_other_subscriptions_are_as_ever(nats: NatsServer) -> None:
    client = await client_of(nats)
    subscription = await client.subscribe("here")
    await client.publish("here", b"1", headers={"Key": "value"})
    message = await subscription.next_msg(timeout=5)
    assert (message.data, message.headers) == (b"1", {"Key": "value"})
    await client.close()


async def test_receiving_goes_on_after_the_server_was_killed(nats: NatsServer) -> None:
    client = await client_of(nats)
    taken: list[Message] = []
    await client.receive("here", lambda *message: taken.append(message))
    await nats.kill()
    await nats.start()
    async with asyncio.timeout(10):
        while not taken:
            await client.publish("here", b"again")
            await asyncio.sleep(0.05)
    await client.close()


def test_a_status_is_told_from_a_message() -> None:
    ended = b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 7\r\nNats-Pending-Bytes: 0\r\n\r\n"
    assert (status_of(ended), header(ended, "Nats-Pending-Messages")) == ("408", "7")
    assert status_of(b"NATS/1.0 503\r\n\r\n") == "503"
    assert status_of(b"NATS/1.0\r\nKey: 1 2\r\n\r\n") == ""
    assert status_of(b"") == ""
