"""Records the controller's facts."""

from typing import Any

from kernel.cause import Cause
from kernel.errors import Refusal
from kernel.fold import Kind, etag_of
from kernel.logs import structlog
from kernel.rooms import Rooms
from modelog.type.v1.principal_pb2 import Principal
from services.deployment.failpoints import reached

_log = structlog.get_logger()
_ACTOR = Principal(id="services/deployment", auth_method="controller")


class Recorder:
    """revision: of the newest fact that it recorded."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self.revision = 0

    async def record(self, kind: Kind, state: Any, key: str, verb: Any, reads: Any = ()) -> bool:
        """One fact, decided on exactly this state. False when the state has moved on: the next turn looks again."""
        cause = Cause(
            actor=_ACTOR,
            request_id=f"controller/{state.name}/{state.generation}/{key}",
            now=self._rooms.clock(),
            correlation_id=state.name,
            etag=etag_of(state),
        )
        reached("controller.before-fact")
        try:
            decided = await self._rooms.transact(kind, state.name, cause, verb, reads=reads)
        except Refusal as refusal:
            _log.info("step_not_taken", step=key, resource=state.name, reason=refusal.reason, message=refusal.message)
            return False
        reached("controller.after-fact")
        self.revision = max(self.revision, decided.revision)
        if decided.recorded:
            _log.info("step_taken", step=key, resource=state.name, revision=decided.revision)
        return True
