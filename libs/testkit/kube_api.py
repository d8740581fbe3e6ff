"""A cluster's API on a free port, stateful and as strict as a real one about what clients get wrong.

It enforces resourceVersion (409), who owns which field in server-side apply (409 unless forced), names that exist (409)
and that do not (404), preconditions of deletes, and it watches: with bookmarks, an end after timeoutSeconds, and 410
for revisions that are forgotten. Status is a subresource, and generation counts changes of what is asked for. A few
controllers make pods of what is asked for; see testkit.kube.controllers for how tests make them fail.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from testkit.kube.controllers import DEPLOYMENT, HTTP_ROUTE, INFERENCE_SERVICE, POD, SERVICE, Controllers
from testkit.kube.fields import Object
from testkit.kube.store import Event, Resource, Status, Store, matches
from testkit.kube.wire import Answer, Request, serve

RESOURCES = (
    *(POD, SERVICE, DEPLOYMENT, INFERENCE_SERVICE, HTTP_ROUTE),
    Resource("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
)
_PATH = re.compile(
    r"(?P<base>/apis?/.+?)/namespaces/(?P<space>[^/]+)/(?P<plural>[^/]+)(/(?P<name>[^/]+)(/(?P<sub>\w+))?)?"
)
_TICK_SECONDS = 0.02


class KubeApi:
    """Use as an async context manager. What it was asked stands in `requests` as (token, method, path)."""

    def __init__(self, *, absent: tuple[str, ...] = ()) -> None:
        self.store = Store()
        self.controllers = Controllers(self.store)
        self.requests: list[tuple[str, str, str]] = []
        self.bookmark_seconds = 0.2
        # Answers 503 and ends watches, as long as it is set.
        self.away = False
        self.slow_seconds = 0.0
        # Called with (method, path) before anything is done; may raise Status.
        self.before: Callable[[str, str], None] = lambda _method, _path: None
        self._resources = {(one.base, one.plural): one for one in RESOURCES if one.plural not in absent}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> "KubeApi":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self._start(self._tick())
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def kubeconfig(self, path: Path, token: str = "somebody") -> Path:
        """Writes how to reach it."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "default"}}],
            "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "me", "user": {"token": token}}],
        }
        path.write_text(json.dumps(content))
        return path

    def drop_watches(self) -> None:
        """Ends every connection, as a proxy or a restart does."""
        for task in list(self._tasks):
            if task.get_name() == "connection":
                task.cancel()

    def edit(self, plural: str, name: str, change: Object, *, manager: str = "kubectl-edit") -> Object:
        """Somebody changes an object by hand (a merge patch); found by its name in whatever namespace."""
        for (kind, space, known), _ in list(self.store.objects.items()):
            if (kind, known) == (plural, name):
                resource = next(one for one in RESOURCES if one.plural == plural)
                return self.store.patch(resource, space, name, change, manager)
        raise KeyError(name)

    def _start(self, work: Any, name: str = "") -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("connection")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(asyncio.CancelledError):
            await serve(self._handle, reader, writer)

    async def _tick(self) -> None:
        while True:
            self.controllers.step()
            await asyncio.sleep(_TICK_SECONDS)

    async def _handle(self, request: Request) -> Answer:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        self.requests.append((token, request.method, request.path))
        try:
            if self.slow_seconds:
                await asyncio.sleep(self.slow_seconds)
            if self.away:
                raise Status(503, "ServiceUnavailable", "the server is currently unable to handle the request")
            if not token:
                raise Status(401, "Unauthorized", "Unauthorized")
            self.before(request.method, request.path)
            return self._answer(request)
        except Status as status:
            return Answer(status.code, status.body)

    def _answer(self, request: Request) -> Answer:
        found = _PATH.fullmatch(request.path)
        resource = self._resources.get((found["base"], found["plural"])) if found else None
        if found is None or resource is None:
            raise Status(404, "NotFound", "the server could not find the requested resource")
        space, name, sub = found["space"], found["name"] or "", found["sub"] or ""
        if request.method == "GET":
            return self._read(resource, space, name, sub, request)
        match request.method, bool(name), sub:
            case "POST", False, "":
                return Answer(201, self.store.create(resource, space, request.json(), _manager(request)))
            case "PUT", True, "status":
                return Answer(200, self.store.set_status(resource, space, name, request.json()["status"]))
            case "PUT", True, "":
                return Answer(200, self.store.replace(resource, space, name, request.json(), _manager(request)))
            case "PATCH", True, "":
                return Answer(200, self._patch(resource, space, name, request))
            case "DELETE", True, "":
                return Answer(200, self._delete(resource, space, name, request))
        raise Status(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def _read(self, resource: Resource, space: str, name: str, sub: str, request: Request) -> Answer:
        if name and sub == "log":
            return Answer(200, self._log(space, name, request))
        if name:
            return Answer(200, self.store.get(resource, space, name))
        if request.query.get("watch") == "true":
            return Answer(200, lines=self._watch(resource, space, request.query))
        return Answer(200, self._list(resource, space, request.query))

    def _patch(self, resource: Resource, space: str, name: str, request: Request) -> Object:
        kind, manager = request.headers.get("content-type", ""), _manager(request)
        if kind == "application/merge-patch+json":
            return self.store.patch(resource, space, name, request.json(), manager)
        if kind != "application/apply-patch+yaml":
            raise Status(415, "UnsupportedMediaType", f"{kind} is not supported")
        if "fieldManager" not in request.query:
            raise Status(422, "Invalid", "fieldManager is required for apply patch")
        force, dry = request.query.get("force") == "true", request.query.get("dryRun") == "All"
        return self.store.apply(resource, space, name, request.json(), manager, force=force, dry=dry)

    def _delete(self, resource: Resource, space: str, name: str, request: Request) -> Object:
        options = request.json()
        live = self.store.get(resource, space, name)
        uid = (options.get("preconditions") or {}).get("uid", "")
        if resource is POD:
            if uid and uid != live["metadata"]["uid"]:
                raise Status(409, "Conflict", "Precondition failed")
            self.controllers.end(live)
            return live
        if "Orphan" in (options.get("propagationPolicy"), request.query.get("propagationPolicy")):
            for pod in self.store.select("pods", space):
                if any(one["uid"] == live["metadata"]["uid"] for one in pod["metadata"].get("ownerReferences") or ()):
                    self.store.patch(POD, space, pod["metadata"]["name"], {"metadata": {"ownerReferences": None}}, "gc")
        self.store.delete(resource, space, name, uid)
        return {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    def _log(self, space: str, name: str, request: Request) -> str:
        self.store.get(POD, space, name)
        text = self.controllers.logs.get(f"{name}/{request.query.get('container', '')}", "")
        lines = text.splitlines(keepends=True)[-int(request.query.get("tailLines", "1000000")) :]
        return "".join(lines)[: int(request.query.get("limitBytes", "1000000000"))]

    def _list(self, resource: Resource, space: str, query: dict[str, str]) -> Object:
        """Pages of `limit`, all of the revision of the first; a page of a forgotten revision is 410."""
        revision, _, after = query.get("continue", f"{self.store.revision}/").partition("/")
        if int(revision) < self.store.oldest:
            raise Status(410, "Expired", "The provided continue parameter is too old")
        items = self.store.select(resource.plural, space, query.get("labelSelector", ""))
        items = [one for one in items if one["metadata"]["name"] > after]
        limit = int(query.get("limit", "0")) or len(items)
        meta = {"resourceVersion": revision}
        if len(items) > limit:
            meta["continue"] = f"{revision}/{items[limit - 1]['metadata']['name']}"
        kind = f"{resource.kind}List"
        return {"kind": kind, "apiVersion": resource.group_version, "metadata": meta, "items": items[:limit]}

    async def _watch(self, resource: Resource, space: str, query: dict[str, str]) -> AsyncIterator[Object]:
        selector = query.get("labelSelector", "")
        seen = int(query.get("resourceVersion") or self.store.revision)
        end = time.monotonic() + float(query.get("timeoutSeconds", "60"))
        changed = asyncio.Event()
        self.store.listeners.append(changed)
        try:
            while time.monotonic() < end and not self.away:
                changed.clear()
                try:
                    events = list(self.store.since(seen))
                except Status as status:
                    yield {"type": "ERROR", "object": status.body}
                    return
                for event in events:
                    seen = event.revision
                    if (line := _line(event, resource, space, selector)) is not None:
                        yield line
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), min(self.bookmark_seconds, max(end - time.monotonic(), 0)))
                    continue
                if query.get("allowWatchBookmarks") == "true":
                    meta = {"resourceVersion": str(seen), "creationTimestamp": None}
                    mark = {"kind": resource.kind, "apiVersion": resource.group_version, "metadata": meta}
                    yield {"type": "BOOKMARK", "object": mark}
        finally:
            self.store.listeners.remove(changed)


def _line(event: Event, resource: Resource, space: str, selector: str) -> Object | None:
    """What a watcher hears of a change: for one with a selector, objects come and go with their labels."""
    if event.resource.plural != resource.plural or event.namespace != space:
        return None
    was, is_ = matches(selector, event.before), matches(selector, event.after)
    if is_:
        return {"type": "MODIFIED" if was else "ADDED", "object": event.after}
    if not was:
        return None
    assert event.before is not None
    meta = {**event.before["metadata"], "resourceVersion": str(event.revision)}
    return {"type": "DELETED", "object": {**event.before, "metadata": meta}}


def _manager(request: Request) -> str:
    return request.query.get("fieldManager") or request.headers.get("user-agent", "unknown").partition("/")[0]
