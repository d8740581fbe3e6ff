"""What doors, reactions and the notary share, made from the kernel's rooms and the archive's settings."""

from functools import cached_property, partial
from pathlib import Path

from kernel.rooms import Rooms
from services.archive.checkpoints import Checkpoints, Ledger
from services.archive.keys import open_key
from services.archive.notary import Notary
from services.archive.queries import Copy
from services.archive.sealing.sealer import Sealer
from services.archive.sealing.store import RecordStore
from services.archive.settings import Settings


class Parts:
    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self.settings: Settings = rooms.settings
        self.copy = Copy(rooms.pool)
        self.checkpoints = Checkpoints(self.settings.notary_dir, self.settings.log_origin)
        self.store = RecordStore(self.settings.records_dir, Path(self.settings.artifacts_dir))

    @cached_property
    def sealer(self) -> Sealer:
        return Sealer(self.copy, self.checkpoints, self.store)

    @cached_property
    def notary(self) -> Notary:
        return Notary(
            origin=self.settings.log_origin,
            key=partial(open_key, self.settings.notary_dir, self.settings.log_origin),
            ledger=Ledger(self.checkpoints),
            roots=self.copy,
            position=self._rooms.position,
            log=self._rooms.log,
            clock=self._rooms.clock,
            pause_seconds=self.settings.sign_pause_seconds,
        )
