"""The door of artifacts: trusted keys, signed statements, copies and what was derived from what."""

from functools import partial

from kernel.errors import NotFound
from kernel.names import project_of
from kernel.rpc import Context
from modelog.registry.v1 import artifacts_pb2 as rpc
from services.registry import queries
from services.registry.domain import MODEL, PROJECT, VERSION, statements, version
from services.registry.servicer.room import Room, access_reads, actors


class Artifacts(Room):
    async def AddTrustedKey(self, request: rpc.AddTrustedKeyRequest, context: Context) -> rpc.AddTrustedKeyResponse:
        key = statements.key_in(request.public_key)
        verb = partial(statements.add_trusted_key, key=key, description=request.description)
        decided = await self._transact(PROJECT, request.name, context.cause(), verb)
        return rpc.AddTrustedKeyResponse(name=decided.name, revision=decided.revision, key_id=key.id)

    async def RevokeTrustedKey(
        self, request: rpc.RevokeTrustedKeyRequest, context: Context
    ) -> rpc.RevokeTrustedKeyResponse:
        verb = partial(statements.revoke_trusted_key, key_id=request.key_id)
        decided = await self._transact(PROJECT, request.name, context.cause(), verb)
        return rpc.RevokeTrustedKeyResponse(name=decided.name, revision=decided.revision)

    async def RecordProvenance(
        self, request: rpc.RecordProvenanceRequest, context: Context
    ) -> rpc.RecordProvenanceResponse:
        decided = await self._transact(
            VERSION,
            request.name,
            context.cause(),
            partial(statements.record_provenance, envelope=request.envelope),
            reads=((PROJECT, project_of(request.name)),),
        )
        after = await self._after(VERSION, decided)
        recorded = statements.recorded(after, request.envelope)
        return rpc.RecordProvenanceResponse(name=decided.name, revision=decided.revision, provenance=recorded)

    async def ListProvenance(self, request: rpc.ListProvenanceRequest, context: Context) -> rpc.ListProvenanceResponse:
        found = await self._resources.load(VERSION, request.name, request.read)
        if not found.name:
            raise _missing(request.name)
        return await queries.provenance(self._pool, request, found)

    async def CopyVersion(self, request: rpc.CopyVersionRequest, context: Context) -> rpc.CopyVersionResponse:
        MODEL.pattern.ids(request.parent, "parent")
        VERSION.pattern.ids(request.source, "source")
        cause = context.cause()
        reads = ((MODEL, request.parent), *access_reads(request.parent), (VERSION, request.source))
        verb = partial(version.copy_version, named=request.source, actors=actors(cause))
        decided = await self._transact.create_numbered(VERSION, request.parent, cause, verb, reads=reads)
        return rpc.CopyVersionResponse(name=decided.name, revision=decided.revision)

    async def ListDerivedVersions(
        self, request: rpc.ListDerivedVersionsRequest, context: Context
    ) -> rpc.ListDerivedVersionsResponse:
        """Copies may be in projects that the caller does not see: of those nothing is said, not even how many."""
        if not (await self._resources.load(VERSION, request.name, request.read)).name:
            raise _missing(request.name)
        reply = await queries.derived_versions(self._pool, request)
        shown = [one for one in reply.derived if await context.may("registry.versions.get", one.name)]
        return rpc.ListDerivedVersionsResponse(derived=shown, next_page_token=reply.next_page_token)


def _missing(name: str) -> NotFound:
    return NotFound(VERSION.not_found_reason, f"there is no {name}", metadata={"resource": name})
