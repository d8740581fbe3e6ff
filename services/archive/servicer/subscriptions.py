"""Subscriptions: what a group of consumers is handed out, and the handing out."""

from functools import partial

from kernel.names import check_id, child, project_of
from kernel.rooms import Rooms
from kernel.rpc import Context
from kernel.transact import Decide
from modelog.archive.v1 import subscription_service_pb2 as rpc
from modelog.archive.v1 import subscriptions_pb2 as types
from modelog.archive.v1.types_pb2 import LogEntry
from services.archive.domain import SUBSCRIPTION, subscription
from services.archive.filters import Where, matching, moment_of
from services.archive.reading import fact_in, recorded_at
from services.archive.servicer.records import PROJECT
from services.archive.servicer.room import Room
from services.archive.subscriptions.handing import Handing, Wanted
from services.archive.subscriptions.queries import Place

_MOST_FACTS = 500
_NAMES = SUBSCRIPTION.pattern


class SubscriptionServicer(Room):
    """modelog.archive.v1.SubscriptionService."""

    def __init__(self, rooms: Rooms) -> None:
        super().__init__(rooms)
        self._handing = Handing(rooms, self._copy)

    async def CreateSubscription(
        self, request: rpc.CreateSubscriptionRequest, context: Context
    ) -> rpc.CreateSubscriptionResponse:
        PROJECT.ids(request.parent, "parent")
        check_id(request.subscription_id, "subscription_id")
        matching(Where(), request.settings.filter)  # Refuses now what no query could ever be made of.
        name = child(request.parent, "subscriptions", request.subscription_id)
        verb = partial(
            subscription.create,
            project=request.parent,
            settings=request.settings,
            from_revision=await self._from(request.start),
        )
        decided = await self._transact(SUBSCRIPTION, name, context.cause(), verb)
        return rpc.CreateSubscriptionResponse(name=decided.name, revision=decided.revision)

    async def GetSubscription(self, request: rpc.GetSubscriptionRequest, context: Context) -> bytes:
        return await self._resources.get(SUBSCRIPTION, request.name, request.read)

    async def ListSubscriptions(self, request: rpc.ListSubscriptionsRequest, context: Context) -> bytes:
        PROJECT.ids(request.parent, "parent")
        return await self._resources.page(SUBSCRIPTION, child(request.parent, "subscriptions", ""), request)

    async def GetSubscriptionProgress(
        self, request: rpc.GetSubscriptionProgressRequest, context: Context
    ) -> types.SubscriptionProgress:
        one = await self._load(request.name)
        subscription.present(one)
        head = await self._resources.catch_up()
        place = await self._handing.place(one)
        return await self._progress(one, place, head)

    async def UpdateSubscription(
        self, request: rpc.UpdateSubscriptionRequest, context: Context
    ) -> rpc.UpdateSubscriptionResponse:
        matching(Where(), request.settings.filter)
        project = project_of(request.name)
        verb = partial(subscription.change, project=project, settings=request.settings)
        name, revision = await self._change(request.name, context, verb)
        return rpc.UpdateSubscriptionResponse(name=name, revision=revision)

    async def PauseSubscription(
        self, request: rpc.PauseSubscriptionRequest, context: Context
    ) -> rpc.PauseSubscriptionResponse:
        name, revision = await self._change(request.name, context, subscription.pause)
        return rpc.PauseSubscriptionResponse(name=name, revision=revision)

    async def ResumeSubscription(
        self, request: rpc.ResumeSubscriptionRequest, context: Context
    ) -> rpc.ResumeSubscriptionResponse:
        name, revision = await self._change(request.name, context, subscription.resume)
        return rpc.ResumeSubscriptionResponse(name=name, revision=revision)

    async def RewindSubscription(
        self, request: rpc.RewindSubscriptionRequest, context: Context
    ) -> rpc.RewindSubscriptionResponse:
        verb = partial(subscription.rewind, from_revision=await self._from(request.start))
        name, revision = await self._change(request.name, context, verb)
        return rpc.RewindSubscriptionResponse(name=name, revision=revision)

    async def RemoveSubscription(
        self, request: rpc.RemoveSubscriptionRequest, context: Context
    ) -> rpc.RemoveSubscriptionResponse:
        name, revision = await self._change(request.name, context, subscription.remove)
        if not request.validate_only:
            await self._handing.forget(name)
        return rpc.RemoveSubscriptionResponse(name=name, revision=revision)

    async def PullFacts(self, request: rpc.PullFactsRequest, context: Context) -> rpc.PullFactsResponse:
        newest = await self._load(request.name)

        async def load() -> types.Subscription:
            one: types.Subscription = await self._rooms.states.load(SUBSCRIPTION, request.name)
            one = one if one.revision >= newest.revision else newest
            subscription.handing_out(one)
            return one

        wanted = Wanted(
            consumer=request.consumer or context.caller.principal.id,
            most=request.max_facts or _MOST_FACTS,
            seconds=request.wait.ToTimedelta().total_seconds(),
        )
        handed = await self._handing.pull(load, wanted)
        reply = rpc.PullFactsResponse(position=handed.place.position, head=self._rooms.position.revision)
        for one in handed.entries:
            reply.entries.append(LogEntry(revision=one.revision, subject=one.subject, payload=one.payload))
        if handed.lease is not None:
            reply.token, reply.attempt = handed.lease.token, handed.lease.attempt
            reply.deadline.FromDatetime(handed.lease.deadline)
        if request.with_texts:
            reply.texts.update(await self._texts_of(handed.entries))
        return reply

    async def AcknowledgeFacts(
        self, request: rpc.AcknowledgeFactsRequest, context: Context
    ) -> rpc.AcknowledgeFactsResponse:
        one = await self._load(request.name)
        subscription.present(one)
        return rpc.AcknowledgeFactsResponse(position=await self._handing.acknowledge(one, request.token))

    async def ExtendDeadline(self, request: rpc.ExtendDeadlineRequest, context: Context) -> rpc.ExtendDeadlineResponse:
        one = await self._load(request.name)
        subscription.present(one)
        reply = rpc.ExtendDeadlineResponse()
        reply.deadline.FromDatetime(await self._handing.extend(one, request.token, request.within.ToTimedelta()))
        return reply

    async def _load(self, name: str) -> types.Subscription:
        """As the log says now: whoever has just set it elsewhere is handed nothing from before."""
        _NAMES.ids(name)
        states = self._rooms.states
        known = await states.load(SUBSCRIPTION, name)
        state, _ = await states.refresh(SUBSCRIPTION, name, known)
        newest: types.Subscription = state
        return newest

    async def _change(self, name: str, context: Context, verb: Decide) -> tuple[str, int]:
        decided = await self._transact(SUBSCRIPTION, name, context.cause(), verb)
        return decided.name, decided.revision

    async def _from(self, start: rpc.Start) -> int:
        """The revision that a start means now."""
        if start.WhichOneof("where") == "revision":
            return start.revision
        head = await self._resources.catch_up()
        if start.WhichOneof("where") == "time":
            return await self._copy.first_since(moment_of(start.time, "start.time")) or head + 1
        return head + 1

    async def _progress(self, one: types.Subscription, place: Place, head: int) -> types.SubscriptionProgress:
        progress = types.SubscriptionProgress(
            position=place.position,
            handed_out=place.looked,
            head=head,
            lag=max(head - place.position, 0),
        )
        for lease in place.batches:
            batch = progress.batches.add(
                first_revision=lease.first,
                last_revision=lease.last,
                consumer=lease.consumer,
                attempt=lease.attempt,
                acknowledged=lease.acknowledged,
            )
            batch.deadline.FromDatetime(lease.deadline)
        if place.acknowledged_at is not None:
            progress.acknowledge_time.FromDatetime(place.acknowledged_at)
        waiting = await self._copy.window(place.position, head, one.settings.filter, 1)
        fact = fact_in(waiting[0].payload, waiting[0].subject) if waiting else None
        if fact is not None and (recorded := recorded_at(fact)) is not None:
            progress.oldest_age.FromTimedelta(self._rooms.clock() - recorded)
        return progress
