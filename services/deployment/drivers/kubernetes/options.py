"""What an environment and this installation ask of a cluster, read from settings. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.deployment.domain.driver_settings import KUBERNETES_DEFAULTS
from services.deployment.gateway.config import path_of

_CPU, _MEMORY = KUBERNETES_DEFAULTS["cpu_request"], KUBERNETES_DEFAULTS["memory_request"]


@dataclass(frozen=True)
class Installation:
    """This installation in a cluster. namespaces, images: what environments may choose, the first one by default.

    nats_secret: name of the Secret with `password`, and `ca.crt` where nats_url speaks TLS. service_namespace: where
    this service runs, from which it asks pods what they have counted.
    """

    name: str = "modelog"
    service_namespace: str = "modelog"
    namespaces: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    nats_url: str = ""
    nats_user: str = ""
    nats_secret: str = ""


@dataclass(frozen=True)
class Options:
    """One environment. gateway: (namespace, name). Amounts as Kubernetes writes them."""

    namespace: str
    image: str
    gateway: tuple[str, str]
    url: str
    artifacts: str
    form: str = "deployment"
    replicas_min: int = 0
    replicas_max: int = 0
    cpu_request: str = _CPU
    cpu_limit: str = ""
    memory_request: str = _MEMORY
    memory_limit: str = _MEMORY
    threads: int = 1
    pull_secret: str = ""

    @property
    def hostname(self) -> str:
        """The host of the url; empty for an address in numbers, which a route must not name."""
        host = self.url.partition("://")[2].partition(":")[0]
        return "" if host.replace(".", "").isdigit() else host


def options_of(settings: Mapping[str, str], installation: Installation) -> Options:
    """The settings as an environment has them, completed; they were checked when it was defined."""
    namespace = settings.get("namespace") or installation.namespaces[0]
    gateway_namespace, _, gateway = settings["gateway"].rpartition("/")
    cpu_request, memory_request = settings.get("cpu_request", ""), settings.get("memory_request", "")
    cpu_limit, memory_limit = settings.get("cpu_limit", ""), settings.get("memory_limit", "")
    return Options(
        namespace=namespace,
        image=settings.get("image") or (*installation.images, "")[0],
        gateway=(gateway_namespace or namespace, gateway),
        url=settings["url"],
        artifacts=settings["artifacts"].rstrip("/"),
        form=settings.get("form", "deployment"),
        replicas_min=int(settings.get("replicas_min", "0")),
        replicas_max=int(settings.get("replicas_max", "0")),
        # A limit that stands alone is the request as well, as Kubernetes itself has it.
        cpu_request=cpu_request or cpu_limit or _CPU,
        cpu_limit=cpu_limit,
        memory_request=memory_request or memory_limit or _MEMORY,
        # A node that runs out of memory ends whoever it likes, so there is always a limit.
        memory_limit=memory_limit or memory_request or _MEMORY,
        threads=int(settings.get("threads", "1")),
        pull_secret=settings.get("pull_secret", ""),
    )


def address_of(endpoint: str, settings: Mapping[str, str]) -> str:
    """Where an endpoint answers."""
    return settings["url"] + path_of(endpoint)
