"""The door of what comes before and after the end of a version's life: deprecation, dependents, restoring."""

from functools import partial

from kernel.errors import NotFound
from kernel.resources import PAGE_SIZE
from kernel.rpc import Context
from kernel.wire import listing
from modelog.registry.v1 import governance_pb2 as rpc
from modelog.registry.v1 import types_pb2 as types
from modelog.registry.v1.artifacts_pb2 import ListDerivedVersionsRequest
from services.registry import queries
from services.registry.domain import KNOWN_ENDPOINT, KNOWN_HOLD, MODEL, VERSION, ending
from services.registry.domain.hold import covering
from services.registry.servicer.room import Room, access_reads, actors

# How many pages of versions one call looks through for deprecated ones.
_MOST_LOOKS = 40
_LOOK_SIZE = 500
_MOST_DERIVED = 500


class Ending(Room):
    async def ListDeprecatedVersions(self, request: rpc.ListDeprecatedVersionsRequest, context: Context) -> bytes:
        """Looks through the versions, so that it answers as of any moment. A page that has looked far enough is short
        and has a token like any other."""
        MODEL.pattern.ids(request.parent.removesuffix("/-") + "/x" * request.parent.endswith("/-"), "parent")
        asking = rpc.ListDeprecatedVersionsRequest()
        asking.CopyFrom(request)
        wanted, shown = request.page_size or PAGE_SIZE, list[bytes]()
        now = await self._moment(request.read, context.now)
        for _ in range(_MOST_LOOKS):
            # As many as are still wanted, so that the token of the last one seen is that of the page.
            asking.page_size = min(_LOOK_SIZE, wanted - len(shown))
            bodies, asking.page_token = await self._resources.page_of(VERSION, f"{request.parent}/versions/", asking)
            for body in bodies:
                version = types.Version.FromString(body)
                if ending.deprecated(version, now if request.past_sunset else None):
                    shown.append(body)
            if len(shown) >= wanted or not asking.page_token:
                break
        return listing(shown, asking.page_token)

    async def GetDependents(self, request: rpc.GetDependentsRequest, context: Context) -> rpc.GetDependentsResponse:
        version = await self._resources.load(VERSION, request.name, request.read)
        if not version.name:
            raise NotFound(VERSION.not_found_reason, f"there is no {request.name}", metadata={"resource": request.name})
        model = await self._resources.load(MODEL, VERSION.pattern.parent(request.name), request.read)
        asking = ListDerivedVersionsRequest(name=request.name, page_size=_MOST_DERIVED, read=request.read)
        derived = await queries.derived_versions(self._pool, asking)
        # Copies may be in projects that the caller does not see: of those nothing is said.
        shown = [one.name for one in derived.derived if await context.may("registry.versions.get", one.name)]
        above = set(covering(request.name))
        return rpc.GetDependentsResponse(
            name=request.name,
            aliases=sorted(alias for alias, target in model.aliases.items() if target.version == request.name),
            endpoints=[
                one.name
                for one in await self._all(KNOWN_ENDPOINT, request.name, request.read)
                if any(share.version == request.name for share in one.traffic)
            ],
            holds=[
                one.name
                for one in await self._all(KNOWN_HOLD, request.name, request.read)
                if not one.released and not above.isdisjoint(one.resources)
            ],
            derived_versions=dict.fromkeys(shown),
            more=bool(derived.next_page_token),
        )

    async def RestoreVersion(self, request: rpc.RestoreVersionRequest, context: Context) -> rpc.RestoreVersionResponse:
        VERSION.pattern.ids(request.name)
        cause = context.cause()
        verb = partial(ending.restore_version, actors=actors(cause), now=cause.now)
        reads = ((MODEL, VERSION.pattern.parent(request.name)), *access_reads(request.name))
        decided = await self._transact(VERSION, request.name, cause, verb, reads=reads)
        after = await self._after(VERSION, decided)
        return rpc.RestoreVersionResponse(name=decided.name, revision=decided.revision, stage=after.stage)
