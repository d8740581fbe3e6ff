"""nats-py's client with a short way in: what arrives for some subscriptions is handed over at once.

nats-py puts every message on a queue, wakes a task for it and parses its headers, which costs more than what the kernel
does with a reply, and half of what folding a fact costs.
"""

import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import nats.errors
from nats.aio.client import Client

from kernel.tls import ClientTls

# Subject, reply subject, payload, and the headers as they stand in the protocol (empty where there are none).
Take = Callable[[bytes, bytes, bytes, bytes], None]
End = Callable[[], Awaitable[None]]
_WITHOUT = ClientTls()
_CREDENTIALS_CHANGED = ("authorization violation", "authentication revoked", "authentication expired")


class Receiver(Client):
    """Use `receive` where messages are many; everything else is as nats-py has it."""

    def __init__(self, owner: str = "", tls: ClientTls = _WITHOUT) -> None:
        """owner: the user of the server it connects as, whose names consumers are made under."""
        super().__init__()
        self.owner = owner
        self._tls = tls
        self._takers: dict[int, Take] = {}

    async def receive(self, subject: str, take: Take) -> End:
        """Calls `take` with each message, in order, on the loop; it must neither block nor raise. Await `End` to stop.

        The subscription comes back by itself with a new connection, like all of nats-py's.
        """
        subscription = await self.subscribe(subject, cb=_never)
        number = subscription._id
        self._takers[number] = take

        async def end() -> None:
            self._takers.pop(number, None)
            await subscription.unsubscribe()

        return end

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """Asked for at each connection: the files may be others than at the last one. Refuses a server that speaks TLS
        where none was configured, for whom to believe would be anybody's guess."""
        context = self._tls.context()
        if context is None:
            raise nats.errors.Error("the server asks for TLS and no nats_ca_file is set")
        return context

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """Whoever expects TLS sends no password to a server that does without."""
        if initial_connection and self._tls.ca_file and not info.get("tls_required"):
            raise nats.errors.Error("the server does not speak TLS, though nats_ca_file is set")
        await super()._process_info(info, initial_connection)

    async def _process_err(self, err_msg: str) -> None:
        """A password that was changed cuts the connection; nats-py would stay away for good, this comes back with the
        new one."""
        if self.is_connected and any(word in err_msg.lower() for word in _CREDENTIALS_CHANGED):
            await self._process_op_err(nats.errors.AuthorizationError())
        else:
            await super()._process_err(err_msg)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        take = self._takers.get(sid)
        if take is None:
            await super()._process_msg(sid, subject, reply, data, headers)
        else:
            take(subject, reply, data, headers or b"")


async def _never(_message: Any) -> None:
    """Nothing comes here: `take` has it."""


def status_of(headers: bytes) -> str:
    """The status of a message that is none, `NATS/1.0 408 Request Timeout`; empty for all others."""
    first = headers[: headers.find(b"\r\n")].split(b" ", 2)
    return first[1].decode() if len(first) > 1 else ""


def header(headers: bytes, name: str) -> str:
    """The value of one header; empty when it is not there."""
    for line in headers.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.decode() == name:
            return value.strip().decode()
    return ""
