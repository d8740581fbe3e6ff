"""The engine's API over its socket: https://docs.docker.com/reference/api/engine/version/v1.41/

Every call may be repeated: what is already so is no error, and neither is what is gone.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx2 as httpx

from services.deployment.drivers.docker.errors import Refused
from services.deployment.drivers.docker.names import Facts
from services.deployment.drivers.port import PlatformAway
from services.deployment.failpoints import reached

# Of Engine 20.10, and spoken by every one since.
_API = "http://engine/v1.41"
_CONNECT_SECONDS, _ANSWER_SECONDS, _LOAD_SECONDS = 3.0, 10.0, 600.0
_CHUNK_BYTES = 1 << 20
_NOT_MODIFIED, _NOT_FOUND, _CONFLICT, _TOO_MANY, _SERVER = 304, 404, 409, 429, 500
# A frame of output: which stream, three bytes of nothing, length.
_FRAME_BYTES = 8
_LOOK_AT_ONCE = 16


class Engine:
    """socket: of the engine. Refused when it says no, PlatformAway when it does not answer or makes no sense."""

    def __init__(self, socket: Path, *, answer_seconds: float = _ANSWER_SECONDS) -> None:
        self._socket = socket
        self._timeout = httpx.Timeout(answer_seconds, connect=_CONNECT_SECONDS)
        self._client: httpx.AsyncClient | None = None
        self._looking = asyncio.Semaphore(_LOOK_AT_ONCE)

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def containers(self, label: str) -> list[Facts]:
        """All with that label, each in full; those that go while we look are not among them."""
        query = {"all": "1", "filters": json.dumps({"label": [label]})}
        listed = _list(await self._ask("GET", "/containers/json", query))
        looked = await asyncio.gather(*(self._container(str(one["Id"])) for one in listed))
        return [one for one in looked if one is not None]

    async def _container(self, container: str) -> Facts | None:
        async with self._looking:
            return await self._found(f"/containers/{container}/json")

    async def create(self, name: str, body: Mapping[str, Any]) -> None:
        reached("docker.create.before")
        await self._do("POST", "/containers/create", {"name": name}, body, fine=(_CONFLICT,))
        reached("docker.create.after")

    async def start(self, container: str) -> None:
        reached("docker.start.before")
        await self._do("POST", f"/containers/{container}/start", fine=(_NOT_MODIFIED,))
        reached("docker.start.after")

    async def signal(self, container: str, name: str) -> None:
        """The engine does not start again what it was asked to signal."""
        reached("docker.signal.before")
        gone = (_NOT_FOUND, _CONFLICT)
        await self._do("POST", f"/containers/{container}/kill", {"signal": name}, fine=gone)
        reached("docker.signal.after")

    async def halt(self, container: str) -> None:
        """Ends what is not running but about to be started again."""
        await self._do("POST", f"/containers/{container}/stop", {"t": "1"}, fine=(_NOT_MODIFIED, _NOT_FOUND))

    async def remove(self, container: str) -> None:
        reached("docker.remove.before")
        gone = (_NOT_FOUND, _CONFLICT)  # The engine is just at it.
        await self._do("DELETE", f"/containers/{container}", {"force": "1", "v": "1"}, fine=gone)
        reached("docker.remove.after")

    async def update(self, container: str, limits: Mapping[str, Any]) -> None:
        await self._do("POST", f"/containers/{container}/update", body=limits)

    async def resume(self, container: str) -> None:
        await self._do("POST", f"/containers/{container}/unpause", fine=(_CONFLICT,))

    async def rename(self, container: str, name: str) -> None:
        await self._do("POST", f"/containers/{container}/rename", {"name": name})

    async def log(self, container: str, most_bytes: int) -> str:
        """The end of what it printed, whole lines; empty when it is gone."""
        query = {"stdout": "1", "stderr": "1", "tail": "1000"}
        try:
            answer = await self._send("GET", f"/containers/{container}/logs", query)
        except Refused:
            return ""
        content = _unframed(answer.content)
        if len(content) > most_bytes:
            content = content[-most_bytes:].partition(b"\n")[2]
        return content.decode(errors="replace")

    async def image(self, name: str) -> Facts | None:
        return await self._found(f"/images/{name}/json")

    async def images(self, label: str) -> list[Facts]:
        query = {"filters": json.dumps({"label": [label]})}
        return _list(await self._ask("GET", "/images/json", query))

    async def load(self, archive: Path) -> str:
        """Takes in an image as `docker load` does; what the engine says of it."""
        headers = {"Content-Type": "application/x-tar", "Content-Length": str(archive.stat().st_size)}
        timeout = httpx.Timeout(_LOAD_SECONDS, connect=_CONNECT_SECONDS)
        reached("docker.load.before")
        answer = await self._send(
            "POST", "/images/load", {"quiet": "1"}, content=_parts(archive), headers=headers, timeout=timeout
        )
        reached("docker.load.after")
        lines = [json.loads(line) for line in answer.text.splitlines() if line.strip()]
        for line in lines:
            if "error" in line:
                raise Refused(_SERVER, str(line["error"]))
        return "".join(str(line.get("stream", "")) for line in lines).strip()

    async def forget_image(self, tag: str) -> None:
        """Takes the tag away, and the image with its last one; an image that is in use stays."""
        reached("docker.untag.before")
        await self._do("DELETE", f"/images/{tag}", fine=(_NOT_FOUND, _CONFLICT))
        reached("docker.untag.after")

    async def ensure_network(self, name: str, labels: Mapping[str, str]) -> None:
        if await self._found(f"/networks/{name}") is None:
            body = {"Name": name, "CheckDuplicate": True, "Driver": "bridge", "Labels": dict(labels)}
            await self._do("POST", "/networks/create", body=body, fine=(_CONFLICT,))

    async def _found(self, path: str) -> Facts | None:
        try:
            answer = await self._ask("GET", path)
        except Refused as refused:
            if refused.status == _NOT_FOUND:
                return None
            raise
        if not isinstance(answer, dict):
            raise PlatformAway(f"GET {path}: the engine answers {str(answer)[:100]!r}")
        return answer

    async def _do(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        fine: tuple[int, ...] = (),
    ) -> None:
        try:
            await self._send(method, path, query, json=body)
        except Refused as refused:
            if refused.status not in fine:
                raise

    async def _ask(self, method: str, path: str, query: Mapping[str, str] | None = None) -> Any:
        answer = await self._send(method, path, query)
        try:
            return answer.json()
        except ValueError as error:
            raise PlatformAway(f"{method} {path}: the engine answers {answer.text[:100]!r}") from error

    async def _send(
        self, method: str, path: str, query: Mapping[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        if self._client is None:
            transport = httpx.AsyncHTTPTransport(uds=str(self._socket))
            self._client = httpx.AsyncClient(transport=transport, timeout=self._timeout, trust_env=False)
        try:
            answer = await self._client.request(method, _API + path, params=query, **more)
        except httpx.HTTPError as error:
            raise PlatformAway(f"{method} {path} on {self._socket}: {error!r}") from error
        if not answer.is_success:
            self._raise(method, path, answer)
        return answer

    def _raise(self, method: str, path: str, answer: httpx.Response) -> None:
        try:
            message = str(answer.json()["message"])
        except (ValueError, KeyError, TypeError):
            message = answer.text[:500]
        if answer.status_code == _TOO_MANY or (answer.status_code >= _SERVER and method == "GET"):
            raise PlatformAway(f"{method} {path}: {answer.status_code} {message}")
        raise Refused(answer.status_code, message)


def _list(answer: Any) -> list[Facts]:
    """A list of the engine's; it says null where it has none."""
    if answer is None:
        return []
    if not isinstance(answer, list) or not all(isinstance(one, dict) and "Id" in one for one in answer):
        raise PlatformAway(f"the engine answers {str(answer)[:100]!r} where a list belongs")
    return answer


async def _parts(archive: Path) -> AsyncIterator[bytes]:
    with archive.open("rb") as file:
        while part := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield part


def _unframed(content: bytes) -> bytes:
    parts, at = [], 0
    while at + _FRAME_BYTES <= len(content):
        size = int.from_bytes(content[at + 4 : at + _FRAME_BYTES], "big")
        parts.append(content[at + _FRAME_BYTES : at + _FRAME_BYTES + size])
        at += _FRAME_BYTES + size
    return b"".join(parts)
