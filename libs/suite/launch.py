"""Runs a program so that it ends with its parent and, for Postgres, not as root: launch.py PARENT SIGNAL USER program

A wrapper of its own, which becomes the program by exec, because code run between fork and exec inside a process with
threads (gRPC has many) can deadlock. Imports the standard library only; started with -I -S it costs 10 ms.
"""

import ctypes
import os
import pwd
import signal
import sys

_SET_DEATH_SIGNAL = 1
_KEEP_CAPABILITIES = 8
_AMBIENT, _AMBIENT_RAISE = 47, 2
_OVERRIDE_FILE_PERMISSIONS = 1  # CAP_DAC_OVERRIDE
_CAPABILITY_VERSION_3 = 0x20080522


def main(arguments: list[str]) -> None:
    """Never returns: becomes the program, or exits when the parent is gone already."""
    parent, death_signal, user, program = int(arguments[0]), arguments[1], arguments[2], arguments[3:]
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if user and os.geteuid() == 0:
        _become(user, libc)
    if libc is not None:
        # After the change of user, which would clear it.
        libc.prctl(_SET_DEATH_SIGNAL, int(signal.Signals[death_signal]), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent ended first")
    os.execv(program[0], program)  # noqa: S606


def _become(user: str, libc: "ctypes.CDLL | None") -> None:
    """Drops root, but keeps the right to pass through folders only root may enter (a data folder in /root)."""
    entry = pwd.getpwnam(user)
    if libc is not None:
        libc.prctl(_KEEP_CAPABILITIES, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    if libc is not None:
        # Two sets of (effective, permitted, inheritable), low and high words. Without the capability all of this fails
        # quietly, and folders that everybody may enter still work.
        bit = 1 << _OVERRIDE_FILE_PERMISSIONS
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        libc.capset(header, (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0))
        libc.prctl(_AMBIENT, _AMBIENT_RAISE, _OVERRIDE_FILE_PERMISSIONS, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
