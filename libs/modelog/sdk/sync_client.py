"""The blocking client: the same stubs and the same session, for scripts, notebooks and threads."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from modelog.sdk import settings
from modelog.sdk.channels import options, tls
from modelog.sdk.consuming import SyncBatch, consume
from modelog.sdk.identity import identity
from modelog.sdk.interceptors import sync_channel
from modelog.sdk.registering import Registered, register_many
from modelog.sdk.session import DEADLINE_SECONDS, AsOf, Session
from modelog.sdk.sync_subscription import SyncSubscription
from modelog.sdk.watching import watch_rollout

if TYPE_CHECKING:
    from modelog.archive.v1.archive_service_pb2_grpc import ArchiveServiceStub
    from modelog.archive.v1.erasure_service_pb2_grpc import ErasureServiceStub
    from modelog.archive.v1.retention_service_pb2_grpc import RetentionServiceStub
    from modelog.archive.v1.subscription_service_pb2_grpc import SubscriptionServiceStub
    from modelog.archive.v1.types_pb2 import FactFilter
    from modelog.deployment.v1.deployment_service_pb2_grpc import DeploymentServiceStub
    from modelog.deployment.v1.people_pb2 import WatchRolloutResponse
    from modelog.monitoring.v1.monitoring_service_pb2_grpc import MonitoringServiceStub
    from modelog.registry.v1.collaboration_service_pb2_grpc import CollaborationServiceStub
    from modelog.registry.v1.registry_service_pb2 import RegisterVersionRequest
    from modelog.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
    from modelog.registry.v1.webhook_service_pb2_grpc import WebhookServiceStub
    from modelog.sdk.telemetry import Telemetry
    from modelog.state.v1.state_service_pb2_grpc import StateServiceStub
    from modelog.status.v1.status_service_pb2_grpc import StatusServiceStub


class SyncClient:
    """Use it as `with`. A service is looked for, and its code loaded, when it is first used. Safe between threads."""

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
        self._channels: dict[str, grpc.Channel] = {}

    def __enter__(self) -> "SyncClient":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all calls and closes the channels."""
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.close()

    @property
    def revision(self) -> int:
        """The newest revision this session has seen; its reads are at least as new."""
        return self.session.newest

    def as_of(self, moment: AsOf) -> "SyncClient":
        """A client whose reads answer as of a revision or a time (without zone: UTC). Close it like its parent."""
        return SyncClient(self.session, self._addresses, self._credentials, moment)

    @cached_property
    def registry(self) -> "RegistryServiceStub":
        from modelog.registry.v1.registry_service_pb2_grpc import RegistryServiceStub

        return RegistryServiceStub(self._channel("registry"))

    @cached_property
    def collaboration(self) -> "CollaborationServiceStub":
        """Threads, teams, watches, and what waits for whom: at the registry."""
        from modelog.registry.v1.collaboration_service_pb2_grpc import CollaborationServiceStub

        return CollaborationServiceStub(self._channel("registry"))

    @cached_property
    def webhooks(self) -> "WebhookServiceStub":
        """Facts sent to addresses outside: at the registry."""
        from modelog.registry.v1.webhook_service_pb2_grpc import WebhookServiceStub

        return WebhookServiceStub(self._channel("registry"))

    @cached_property
    def deployment(self) -> "DeploymentServiceStub":
        from modelog.deployment.v1.deployment_service_pb2_grpc import DeploymentServiceStub

        return DeploymentServiceStub(self._channel("deployment"))

    @cached_property
    def monitoring(self) -> "MonitoringServiceStub":
        from modelog.monitoring.v1.monitoring_service_pb2_grpc import MonitoringServiceStub

        return MonitoringServiceStub(self._channel("monitoring"))

    @cached_property
    def telemetry(self) -> "Telemetry":
        """Tells monitoring what versions answered and what turned out to be true: see Telemetry."""
        from modelog.sdk.telemetry import Telemetry

        def apart() -> "tuple[Callable[..., Any], SyncClient]":
            client = SyncClient(self.session, self._addresses, self._credentials)
            return client.monitoring.Ingest, client

        return Telemetry(self.session, lambda: self.monitoring.Ingest, apart)

    @cached_property
    def archive(self) -> "ArchiveServiceStub":
        from modelog.archive.v1.archive_service_pb2_grpc import ArchiveServiceStub

        return ArchiveServiceStub(self._channel("archive"))

    @cached_property
    def erasures(self) -> "ErasureServiceStub":
        """Erasing free text from beside the log: at the archive."""
        from modelog.archive.v1.erasure_service_pb2_grpc import ErasureServiceStub

        return ErasureServiceStub(self._channel("archive"))

    @cached_property
    def retentions(self) -> "RetentionServiceStub":
        """How long records are kept, what is held, what was erased: at the archive."""
        from modelog.archive.v1.retention_service_pb2_grpc import RetentionServiceStub

        return RetentionServiceStub(self._channel("archive"))

    @cached_property
    def subscriptions(self) -> "SubscriptionServiceStub":
        """Places in the log kept for groups of consumers: at the archive."""
        from modelog.archive.v1.subscription_service_pb2_grpc import SubscriptionServiceStub

        return SubscriptionServiceStub(self._channel("archive"))

    def states(self, service: str) -> "StateServiceStub":
        """Everything that a service keeps, by its name; `modelog.sdk.states` reads all services."""
        from modelog.state.v1.state_service_pb2_grpc import StateServiceStub

        return StateServiceStub(self._channel(service))

    def status(self, service: str) -> "StatusServiceStub":
        """How a service itself is doing, by its name: `client.status("registry").GetStatus(GetStatusRequest())`."""
        from modelog.status.v1.status_service_pb2_grpc import StatusServiceStub

        return StatusServiceStub(self._channel(service))

    def catch_up(self, service: str, timeout: float | None = None) -> int:
        """Raises `revision` to the present end of the log, as a service knows it: what is read from now on has seen
        everything that was answered to anybody before."""
        from modelog.status.v1.status_service_pb2 import GetStatusRequest

        status = self.status(service).GetStatus(GetStatusRequest(), timeout=timeout)
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
    ) -> SyncSubscription:
        """Facts from a revision on, then live: see SyncSubscription.

        with_texts: with what people wrote, which lies beside the log, in place of its markers.
        """
        return SyncSubscription(
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
    ) -> Iterator[SyncBatch]:
        """Facts as one of the consumers of a subscription, batch by batch; acknowledge each.

        consumer: how this one calls itself, for people; most: facts in a batch, 500 when 0; follow: waits for more;
        with_texts: with what people wrote, which lies beside the log, in place of its markers.
        """
        return consume(self.subscriptions, name, consumer=consumer, most=most, follow=follow, with_texts=with_texts)

    def watch_rollout(
        self, name: str, *, interval_seconds: float = 0.0, patience_seconds: float = float("inf")
    ) -> "Iterator[WatchRolloutResponse]":
        """A rollout now, then after each of its facts, until it is finished; breaks are bridged, no state is left out.

        interval_seconds: also look at the endpoint this often, 0.2 to 60: replies carry what was observed. Raises the
        refusal that will not pass, or lasts longer than patience_seconds.
        """
        method = self.deployment.WatchRollout
        return watch_rollout(method, name, interval_seconds=interval_seconds, patience_seconds=patience_seconds)

    def register_versions(
        self, requests: "Iterable[RegisterVersionRequest]", *, progress: Callable[[int], None] | None = None
    ) -> Iterator[Registered]:
        """Registers many versions, of any models, in few calls: see Client.register_versions."""
        return register_many(self.session, self.registry.RegisterVersions, requests, progress)

    def _channel(self, service: str) -> grpc.Channel:
        if service not in self._channels:
            address = self._addresses.of(service)
            tokens = self.session.identity.tokens(address, encrypted=self._credentials is not None)
            if self._credentials is None:
                channel = grpc.insecure_channel(address, options(address))
            else:
                channel = grpc.secure_channel(address, self._credentials, options(address))
            self._channels[service] = sync_channel(channel, self.session, self._as_of, tokens)
        return self._channels[service]


def connect_sync(
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
) -> SyncClient:
    """A blocking client; the arguments are those of `connect`."""
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
    return SyncClient(session, settings.Addresses(given), credentials or tls(ca_file, certificate_file, key_file))
