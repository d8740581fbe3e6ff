"""What an environment and this installation ask of an engine, read from settings. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.deployment.domain.driver_settings import amount

_MEMORY_MIB = 1024
_MILLICORES = 1000


@dataclass(frozen=True)
class Installation:
    """This installation on an engine. images, networks: what environments may choose, the first one by default.

    images: what replicas run in, without a model (deploy/serving.Dockerfile, target runtime). networks: made when they
    are not there. publish: the address of this machine at which replicas' ports are published. user: `uid:gid` that
    replicas run as. nats_password_file, nats_ca_file: files of this machine that the user may read; they are mounted.
    """

    name: str = "modelog"
    images: tuple[str, ...] = ()
    networks: tuple[str, ...] = ("modelog",)
    publish: str = "127.0.0.1"
    user: str = "10001:10001"
    nats_url: str = ""
    nats_user: str = ""
    nats_password_file: str = ""
    nats_ca_file: str = ""


@dataclass(frozen=True)
class Options:
    """One environment. memory_mib: the most a replica may have, beyond which it is killed; cpus in thousandths."""

    image: str
    network: str
    memory_mib: int = _MEMORY_MIB
    millicores: int = _MILLICORES
    threads: int = 1


def options_of(settings: Mapping[str, str], installation: Installation) -> Options:
    """The settings as an environment has them, completed; they were checked when it was defined."""
    return Options(
        image=settings.get("image") or (*installation.images, "")[0],
        network=settings.get("network") or installation.networks[0],
        memory_mib=int(settings.get("memory_mib", _MEMORY_MIB)),
        millicores=amount(settings.get("cpus", "1")),
        threads=int(settings.get("threads", "1")),
    )
