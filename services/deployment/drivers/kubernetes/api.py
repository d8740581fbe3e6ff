"""The few calls on a cluster's API that are needed: list, watch, server-side apply, delete, log."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2 as httpx

from services.deployment.drivers.kubernetes.errors import Expired, Refused
from services.deployment.drivers.kubernetes.kinds import BY_NAME, POD, ApiKind
from services.deployment.drivers.kubernetes.names import MANAGER, Manifest
from services.deployment.drivers.port import PlatformAway
from services.deployment.failpoints import reached

_PAGE = 500
# A watch ends by itself after so long and goes on where it was; silence for longer means that nobody is there any more.
_WATCH_SECONDS = 60
_SILENCE_SECONDS = 75.0
_NOT_FOUND, _CONFLICT, _GONE, _TOO_MANY, _SERVER = 404, 409, 410, 429, 500


class Api:
    """open_client: makes the connection with the first call, on the loop that uses it."""

    def __init__(self, open_client: Callable[[], httpx.AsyncClient]) -> None:
        self._open = open_client
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def list(self, kind: ApiKind, namespace: str, selector: str) -> tuple[list[Manifest], str]:
        """Every object that the selector finds, and the revision at which that was true."""
        found: list[Manifest] = []
        query = {"labelSelector": selector, "limit": str(_PAGE)}
        while True:
            body = await self._ask("GET", _path(kind, namespace), query)
            found.extend(body["items"])
            if not (more := body["metadata"].get("continue")):
                return found, str(body["metadata"]["resourceVersion"])
            query["continue"] = more

    async def watch(
        self, kind: ApiKind, namespace: str, selector: str, revision: str
    ) -> AsyncIterator[tuple[str, Manifest]]:
        """(ADDED, MODIFIED, DELETED or BOOKMARK, object) since a revision, until the server ends it. Expired."""
        query = {
            "labelSelector": selector,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": revision,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        timeout = httpx.Timeout(_SILENCE_SECONDS, connect=3.0)
        try:
            request = self._connection().build_request("GET", _path(kind, namespace), params=query, timeout=timeout)
            answer = await self._connection().send(request, stream=True)
            try:
                if answer.status_code != httpx.codes.OK:
                    await answer.aread()
                    _raise(answer)
                async for line in answer.aiter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        _raise_status(event["object"])
                    yield event["type"], event["object"]
            finally:
                await answer.aclose()
        except (httpx.TransportError, ValueError) as error:
            raise PlatformAway(f"watching {kind.plural}: {error!r}") from error

    async def apply(self, manifest: Manifest, *, force: bool = False) -> Manifest:
        """Server-side apply: our fields become what the manifest says, the fields of others stay.

        Refused with 409 where somebody else has taken one of our fields, unless forced. The object as it is then.
        """
        kind, meta = BY_NAME[manifest["kind"]], manifest["metadata"]
        query = {"fieldManager": MANAGER, "force": "true" if force else "false"}
        reached(f"kubernetes.apply.{kind.name}.before")
        live = await self._ask(
            "PATCH",
            f"{_path(kind, meta['namespace'])}/{meta['name']}",
            query,
            content=json.dumps(manifest),
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        reached(f"kubernetes.apply.{kind.name}.after")
        return live

    async def delete(self, kind: ApiKind, live: Manifest) -> None:
        """Deletes exactly this object: one that was made anew under its name stays. Already gone is fine."""
        meta = live["metadata"]
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": meta["uid"]},
        }
        reached(f"kubernetes.delete.{kind.name}.before")
        try:
            await self._ask(
                "DELETE",
                f"{_path(kind, meta['namespace'])}/{meta['name']}",
                {},
                content=json.dumps(options),
                headers={"Content-Type": "application/json"},
            )
        except Refused as refused:
            if refused.status not in (_NOT_FOUND, _CONFLICT):
                raise
        reached(f"kubernetes.delete.{kind.name}.after")

    async def log(self, namespace: str, pod: str, container: str, most_bytes: int) -> str:
        """The end of what a container printed, by whole lines; empty when it has printed nothing yet."""
        query = {"container": container, "tailLines": "1000", "limitBytes": str(most_bytes * 4)}
        try:
            answer = await self._send("GET", f"{_path(POD, namespace)}/{pod}/log", query)
        except Refused:
            return ""
        return answer.content[-most_bytes:].decode(errors="replace")

    async def _ask(self, method: str, path: str, query: dict[str, str], **more: Any) -> Manifest:
        body: Manifest = (await self._send(method, path, query, **more)).json()
        return body

    async def _send(self, method: str, path: str, query: dict[str, str], **more: Any) -> httpx.Response:
        try:
            answer = await self._connection().request(method, path, params=query, **more)
        except httpx.TransportError as error:
            raise PlatformAway(f"{method} {path}: {error!r}") from error
        if not answer.is_success:
            _raise(answer)
        return answer

    def _connection(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = self._open()
        return self._client


def _path(kind: ApiKind, namespace: str) -> str:
    return f"/{kind.path}/namespaces/{namespace}/{kind.plural}"


def _raise(answer: httpx.Response) -> None:
    try:
        status = answer.json()
    except ValueError:
        status = {}
    _raise_status({"code": answer.status_code, "message": answer.text[:500], **status})


def _raise_status(status: Manifest) -> None:
    code, message = int(status["code"]), str(status.get("message", ""))
    if code == _GONE:
        raise Expired(message)
    if code == _TOO_MANY or code >= _SERVER:
        raise PlatformAway(f"{code} {message}")
    raise Refused(code, message)
