"""Evidence packs: one signed folder that a person can read and a program can verify, offline.

Made by the caller of what the services answer as of one revision; no service knows of packs. `make` reads, proves and
writes; what it makes is said by one of `inventory`, `life`, `system_log` and `access_audit`:

    make(client, None, ["projects/risk"], lambda reading: life(reading, "projects/risk/models/fraud"), folder, key)
"""

from modelog.packs.access import access_audit
from modelog.packs.check import verify
from modelog.packs.inventory import inventory
from modelog.packs.life import life
from modelog.packs.making import make
from modelog.packs.reading import NothingThere, Reading
from modelog.packs.system import system_log

__all__ = ["NothingThere", "Reading", "access_audit", "inventory", "life", "make", "system_log", "verify"]
