"""What a stream beside the log says of itself."""

from typing import Any

import orjson

from kernel.errors import Unavailable
from kernel.receiving import Receiver

_INFO_SECONDS = 2.0


async def stream_state(client: Receiver, stream: str, *, api_prefix: str) -> dict[str, Any]:
    """messages, bytes, first_seq, last_seq; Unavailable when the server does not answer or has no such stream."""
    reason = f"{stream}_UNREACHABLE"
    try:
        answer = await client.request(f"{api_prefix}.STREAM.INFO.{stream}", b"", timeout=_INFO_SECONDS)
    except Exception as error:
        raise Unavailable(reason, f"the stream {stream} does not answer: {error!r}") from error
    body: dict[str, Any] = orjson.loads(answer.data)
    if "error" in body:
        raise Unavailable(reason, f"there is no stream {stream}: {body['error']}")
    state: dict[str, Any] = body["state"]
    return state
