"""What telemetry may be of: an endpoint, or a model whose predictions no endpoint answers."""

from kernel.errors import NotFound
from kernel.names import Pattern
from kernel.rooms import Rooms
from services.monitoring import queries
from services.monitoring.domain import KNOWN_ENDPOINT
from services.monitoring.domain.target import is_model
from services.monitoring.servicer.room import Room
from services.monitoring.telemetry.publishing import Publisher

_MODEL = Pattern("projects/*/models/*")


def check_target(name: str, field: str) -> None:
    """Invalid when it names neither an endpoint nor a model."""
    if is_model(name):
        _MODEL.ids(name, field)
    else:
        KNOWN_ENDPOINT.pattern.ids(name, field)


class Targets(Room):
    def __init__(self, rooms: Rooms) -> None:
        super().__init__(rooms)
        self._publisher = Publisher(rooms)

    async def _must_be_known(self, name: str) -> None:
        """Invalid; NotFound for an endpoint, or a model without versions, that is not in the log either."""
        check_target(name, "endpoint")
        if await self._is_known(name):
            return
        await self._resources.catch_up()
        if not await self._is_known(name):
            raise NotFound("ENDPOINT_NOT_FOUND", f"there is no {name}{', or it has no versions' * is_model(name)}")

    async def _is_known(self, name: str) -> bool:
        if is_model(name):
            return await queries.has_versions(self._pool, name)
        return bool((await self._resources.load(KNOWN_ENDPOINT, name)).name)
