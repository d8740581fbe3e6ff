"""HTTP/2 by hand: connections that do what no gRPC client does. Everything goes to 127.0.0.1 and is bounded."""

import asyncio
import resource
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_OPEN_FILES = 8192
_FROM = "127.0.0.2"  # An address of its own, so that what is counted by address is not counted for good callers.


def raise_open_files() -> None:
    """Floods need more sockets than a shell allows by default."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(_OPEN_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


@dataclass
class Wire:
    """One connection. Frames go out as they are asked for; `read` takes in what has come and answers what must be."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    h2: h2.connection.H2Connection
    events: list[Any] = field(default_factory=list)
    closed: bool = False

    async def flush(self) -> None:
        try:
            self.writer.write(self.h2.data_to_send())
            await self.writer.drain()
        except OSError:
            self.closed = True

    async def read(self, seconds: float) -> None:
        """Takes in what comes within `seconds`, or until the server closes."""
        try:
            async with asyncio.timeout(seconds):
                while not self.closed:
                    data = await self.reader.read(65536)
                    self.closed = not data
                    self.events += self.h2.receive_data(data) if data else []
                    await self.flush()
        except TimeoutError:
            return
        except (OSError, h2.exceptions.ProtocolError):
            self.closed = True

    def request(self, path: str, extra: list[tuple[str, str]] | None = None, *, end: bool = False) -> int:
        """Opens a call; its message is up to the caller."""
        stream = int(self.h2.get_next_available_stream_id())
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        ]
        self.h2.send_headers(stream, headers + (extra or []), end_stream=end)
        return stream

    def found(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def goaway(self) -> Any:
        """The last GOAWAY: its error_code and additional_data; None before one."""
        return (self.found(h2.events.ConnectionTerminated) or [None])[-1]

    def close(self) -> None:
        self.writer.close()


async def connected(address: str, seconds: float = 0.05) -> Wire:
    """A connection past its preface, after `seconds` for the server's settings."""
    wire = await bare(address)
    wire.h2.initiate_connection()
    await wire.flush()
    if seconds:
        await wire.read(seconds)
    return wire


async def bare(address: str) -> Wire:
    """A TCP connection on which nothing has been said."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=(_FROM, 0))
    config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8", validate_outbound_headers=False)
    return Wire(reader, writer, h2.connection.H2Connection(config))
