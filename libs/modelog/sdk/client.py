"""The asynchronous client: one typed stub for each service, on channels that share one session."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from modelog.sdk import settings
from modelog.sdk.channels import options, tls
from modelog.sdk.consuming import Batch, aconsume
from modelog.sdk.identity import identity
from modelog.sdk.interceptors import async_interceptors
from modelog.sdk.registering import Registered, aregister_many
from modelog.sdk.session import DEADLINE_SECONDS, AsOf, Session
from modelog.sdk.subscription import Subscription
from modelog.sdk.watching import awatch_rollout

if TYPE_CHECKING:
    from modelog.archive.v1.archive_service_pb2_grpc import ArchiveServiceAsyncStub
    from modelog.archive.v1.erasure_service_pb2_grpc import ErasureServiceAsyncStub
    from modelog.archive.v1.retention_service_pb2_grpc import RetentionServiceAsyncStub
    from modelog.archive.v1.subscription_service_pb2_grpc import SubscriptionServiceAsyncStub
    from modelog.archive.v1.types_pb2 import FactFilter
    from modelog.deployment.v1.deployment_service_pb2_grpc import DeploymentServiceAsyncStub
    from modelog.deployment.v1.people_pb2 import WatchRolloutResponse
    from modelog.monitoring.v1.monitoring_service_pb2_grpc import MonitoringServiceAsyncStub
    from modelog.registry.v1.collaboration_service_pb2_grpc import CollaborationServiceAsyncStub
    from modelog.registry.v1.registry_service_pb2 import RegisterVersionRequest
    from modelog.registry.v1.registry_service_pb2_grpc import RegistryServiceAsyncStub
    from modelog.registry.v1.webhook_service_pb2_grpc import WebhookServiceAsyncStub
    from modelog.state.v1.state_service_pb2_grpc import StateServiceAsyncStub
    from modelog.status.v1.status_service_pb2_grpc import StatusServiceAsyncStub


class Client:
    """Use it as `async with`. A service is looked for, and its code loaded, when it is first used."""

    def __init__(
        self,
        session: Session,
        addresses: settings.Addresses,
        credentials: grpc.ChannelCredentials | None = None,
        as_of: AsOf | None = None,
    ) -> None:
        self.session = session
        self._addresses = addresses
        self._credentials = credentials
        self._as_of = as_of
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends all calls and closes the channels."""
        channels, self._channels = self._channels, {}
        await asyncio.gather(*(channel.close() for channel in channels.values()))

    @property
    def revision(self) -> int:
        """The newest revision this session has seen; its reads are at least as new."""
        return self.session.newest

    def as_of(self, moment: AsOf) -> "Client":
        """A client whose reads answer as of a revision or a time (without zone: UTC). Close it like its parent."""
        return Client(self.session, self._addresses, self._credentials, moment)

    @cached_property
    def registry(self) -> "RegistryServiceAsyncStub":
        from modelog.registry.v1.registry_service_pb2_grpc import RegistryServiceStub

        return RegistryServiceStub(self._channel("registry"))

    @cached_property
    def collaboration(self) -> "CollaborationServiceAsyncStub":
        """Threads, teams, watches, and what waits for whom: at the registry."""
        from modelog.registry.v1.collaboration_service_pb2_grpc import CollaborationServiceStub

        return CollaborationServiceStub(self._channel("registry"))

    @cached_property
    def webhooks(self) -> "WebhookServiceAsyncStub":
        """Facts sent to addresses outside: at the registry."""
        from modelog.registry.v1.webhook_service_pb2_grpc import WebhookServiceStub

        return WebhookServiceStub(self._channel("registry"))

    @cached_property
    def deployment(self) -> "DeploymentServiceAsyncStub":
        from modelog.deployment.v1.deployment_service_pb2_grpc import DeploymentServiceStub

        return DeploymentServiceStub(self._channel("deployment"))

    @cached_property
    def monitoring(self) -> "MonitoringServiceAsyncStub":
        from modelog.monitoring.v1.monitoring_service_pb2_grpc import MonitoringServiceStub

        return MonitoringServiceStub(self._channel("monitoring"))

    @cached_property
    def archive(self) -> "ArchiveServiceAsyncStub":
        from modelog.archive.v1.archive_service_pb2_grpc import ArchiveServiceStub

        return ArchiveServiceStub(self._channel("archive"))

    @cached_property
    def erasures(self) -> "ErasureServiceAsyncStub":
        """Erasing free text from beside the log: at the archive."""
        from modelog.archive.v1.erasure_service_pb2_grpc import ErasureServiceStub

        return ErasureServiceStub(self._channel("archive"))

    @cached_property
    def retentions(self) -> "RetentionServiceAsyncStub":
        """How long records are kept, what is held, what was erased: at the archive."""
        from modelog.archive.v1.retention_service_pb2_grpc import RetentionServiceStub

        return RetentionServiceStub(self._channel("archive"))

    @cached_property
    def subscriptions(self) -> "SubscriptionServiceAsyncStub":
        """Places in the log kept for groups of consumers: at the archive."""
        from modelog.archive.v1.subscription_service_pb2_grpc import SubscriptionServiceStub

        return SubscriptionServiceStub(self._channel("archive"))

    def states(self, service: str) -> "StateServiceAsyncStub":
        """Everything that a service keeps, by its name; `modelog.sdk.states` reads all services."""
        from modelog.state.v1.state_service_pb2_grpc import StateServiceStub

        return StateServiceStub(self._channel(service))

    def status(self, service: str) -> "StatusServiceAsyncStub":
        """How a service itself is doing, by its name: `client.status("registry").GetStatus(GetStatusRequest())`."""
        from modelog.status.v1.status_service_pb2_grpc import StatusServiceStub

        return StatusServiceStub(self._channel(service))

    async def catch_up(self, service: str, timeout: float | None = None) -> int:
        """Raises `revision` to the present end of the log, as a service knows it: what is read from now on has seen
        everything that was answered to anybody before."""
        from modelog.status.v1.status_service_pb2 import GetStatusRequest

        status = await self.status(service).GetStatus(GetStatusRequest(), timeout=timeout)
        self.session.advance(status.head)
        return self.revision

    def subscribe(
        self,
        from_revision: int = 1,
        filter: "FactFilter | None" = None,  # noqa: A002 - the name of the field.
        *,
        to_revision: int = 0,
        follow: bool = True,
        patience_seconds: float = float("inf"),
        with_texts: bool = False,
    ) -> Subscription:
        """Facts from a revision on, then live: see Subscription.

        with_texts: with what people wrote, which lies beside the log, in place of its markers.
        """
        return Subscription(
            self.archive.ReadFacts,
            from_revision=from_revision,
            to_revision=to_revision,
            filter=filter,
            follow=follow,
            patience_seconds=patience_seconds,
            with_texts=with_texts,
        )

    def consume(
        self, name: str, *, consumer: str = "", most: int = 0, follow: bool = True, with_texts: bool = False
    ) -> AsyncIterator[Batch]:
        """Facts as one of the consumers of a subscription, batch by batch; acknowledge each.

        consumer: how this one calls itself, for people; most: facts in a batch, 500 when 0; follow: waits for more;
        with_texts: with what people wrote, which lies beside the log, in place of its markers.
        """
        return aconsume(self.subscriptions, name, consumer=consumer, most=most, follow=follow, with_texts=with_texts)

    def watch_rollout(
        self, name: str, *, interval_seconds: float = 0.0, patience_seconds: float = float("inf")
    ) -> "AsyncIterator[WatchRolloutResponse]":
        """A rollout now, then after each of its facts, until it is finished; breaks are bridged, no state is left out.

        interval_seconds: also look at the endpoint this often, 0.2 to 60: replies carry what was observed. Raises the
        refusal that will not pass, or lasts longer than patience_seconds.
        """
        method = self.deployment.WatchRollout
        return awatch_rollout(method, name, interval_seconds=interval_seconds, patience_seconds=patience_seconds)

    def register_versions(
        self,
        requests: "Iterable[RegisterVersionRequest] | AsyncIterable[RegisterVersionRequest]",
        *,
        progress: Callable[[int], None] | None = None,
    ) -> AsyncIterator[Registered]:
        """Registers many versions, of any models, in few calls: what each came to, in the order of `requests`.

        Where the service goes away, what was not answered is sent again, for as long as the session has patience; then
        Unavailable is raised, and giving all again goes on, provided that the requests carry ids of their own. A
        version that is refused is told in its `refusal` and leaves the others alone. progress: hears after each how
        many are answered.
        """
        return aregister_many(self.session, self.registry.RegisterVersions, requests, progress)

    def _channel(self, service: str) -> grpc.aio.Channel:
        if service not in self._channels:
            address = self._addresses.of(service)
            tokens = self.session.identity.tokens(address, encrypted=self._credentials is not None)
            interceptors = async_interceptors(self.session, self._as_of, tokens)
            if self._credentials is None:
                channel = grpc.aio.insecure_channel(address, options(address), interceptors=interceptors)
            else:
                channel = grpc.aio.secure_channel(
                    address, self._credentials, options(address), interceptors=interceptors
                )
            self._channels[service] = channel
        return self._channels[service]


def connect(
    *,
    registry: str = "",
    deployment: str = "",
    monitoring: str = "",
    archive: str = "",
    actor: str = "",
    on_behalf_of: Sequence[str] = (),
    correlation_id: str = "",
    deadline_seconds: float = DEADLINE_SECONDS,
    patience_seconds: float | None = None,
    token: str | Callable[[], str] = "",
    token_file: str | Path = "",
    ca_file: str | Path = "",
    certificate_file: str | Path = "",
    key_file: str | Path = "",
    credentials: grpc.ChannelCredentials | None = None,
) -> Client:
    """A client; nothing is connected before the first call.

    registry, deployment, monitoring, archive: `host:port`. What is not given comes from MODELOG_REGISTRY (and so on),
    then MODELOG_ADDRESS (one address for all), then the nearest `.modelog/suite.json` from the current folder upwards.
    token: proves who calls, a text or what returns one; token_file: one in a file, read again when it changes. Else
    MODELOG_TOKEN_FILE, then the issuer of the suite nearby, then `modelog login`. Tokens are renewed in good time.
    actor: who calls, `users/ada`, to the suite nearby and to the development identity; else MODELOG_ACTOR.
    on_behalf_of: for whom, nearest first. correlation_id: ties the facts of all calls together.
    deadline_seconds: of each call without a timeout of its own, with its repetitions. patience_seconds: how long a
    service may stay unreachable within that, as long as the deadline when None.
    ca_file, certificate_file, key_file: TLS, as modelog.sdk.channels.tls takes it; credentials: instead of these.
    Without any of them the wire is plain, and tokens go to this machine only: NotConfigured for others.
    """
    given = {"registry": registry, "deployment": deployment, "monitoring": monitoring, "archive": archive}
    name = settings.actor(actor)
    session = Session(
        actor=name,
        identity=identity(token, token_file, name, tuple(on_behalf_of)),
        on_behalf_of=tuple(on_behalf_of),
        correlation_id=correlation_id,
        deadline_seconds=deadline_seconds,
        patience_seconds=deadline_seconds if patience_seconds is None else patience_seconds,
    )
    return Client(session, settings.Addresses(given), credentials or tls(ca_file, certificate_file, key_file))
