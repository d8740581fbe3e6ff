"""What doors, reactions and the notary share, made from the kernel's rooms and the archive's settings."""

from functools import cached_property, partial

from kernel.rooms import Rooms
from services.archive.checkpoints import Checkpoints, Ledger
from services.archive.erasing.eraser import Eraser
from services.archive.erasing.erasing import Erasing
from services.archive.erasing.queries import Marks
from services.archive.keys import open_key, rotate_if_asked
from services.archive.notary import Notary
from services.archive.queries import Copy
from services.archive.scrub.queries import ViewTables
from services.archive.scrub.running import Scrubbing, settle
from services.archive.scrub.scrub import Stores
from services.archive.sealing.sealer import Sealer
from services.archive.sealing.store import RecordStore
from services.archive.settings import Settings
from services.archive.vault.keeping import Keeping
from services.archive.vault.vault import Vault
from services.archive.witness.statements import Statements
from services.archive.witness.witness import Witness


class Parts:
    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self.settings: Settings = rooms.settings
        self.copy = Copy(rooms.pool)
        self.checkpoints = Checkpoints(self.settings.notary_dir, self.settings.log_origin)
        self.statements = Statements(self.settings.witness_dir, self.settings.log_origin)
        self.vault = Vault(self.settings.copy_dir)
        self.store = RecordStore(self.settings.records, self.settings.artifacts)

    @cached_property
    def sealer(self) -> Sealer:
        return Sealer(self.copy, self.checkpoints, self.store)

    @cached_property
    def erasing(self) -> Erasing:
        eraser = Eraser(self._rooms.nats, api_prefix=self.settings.nats_api_prefix)
        return Erasing(self._rooms, Marks(self._rooms.pool), eraser)

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
            rotated=partial(rotate_if_asked, self.settings.notary_dir),
        )

    @cached_property
    def keeping(self) -> Keeping:
        return Keeping(self._rooms.log, self.vault, self.statements.promised)

    @cached_property
    def witness(self) -> Witness:
        return Witness(
            name=self.settings.witness_name,
            checkpoints=Checkpoints(self.settings.notary_dir, self.settings.log_origin),
            statements=self.statements,
            vault=self.vault,
            tiles=self.copy,
            reach=lambda: self._rooms.position.revision,
            clock=self._rooms.clock,
        )

    @cached_property
    def stores(self) -> Stores:
        """What a comparison reads; with a vault of its own, which only looks."""

        async def settled(revision: int) -> None:
            await settle(stores, self._rooms.position, revision)

        stores = Stores(
            log=self._rooms.log,
            vault=Vault(self.settings.copy_dir),
            views=ViewTables(self._rooms.pool),
            notary_dir=self.settings.notary_dir,
            statements=Statements(self.settings.witness_dir, self.settings.log_origin),
            settled=settled,
        )
        return stores

    @cached_property
    def scrubbing(self) -> Scrubbing:
        return Scrubbing(
            self.settings.scrub_dir,
            self.stores,
            self.known,
            self._rooms.clock,
            share=self.settings.scrub_share,
            pause_seconds=self.settings.scrub_pause_seconds,
        )

    def known(self) -> int:
        """Up to where the views say they are."""
        return self._rooms.position.revision
