"""Files of ours that containers read: copies that belong to whom replicas run as, and to nobody else."""

import os
from pathlib import Path

_NOBODY_SPECIAL = "10001:10001"


def containers_user() -> str:
    """`uid:gid` that replicas run as: never root, and ourselves where we are not root, who own what we lend."""
    return f"{os.geteuid()}:{os.getegid()}" if os.geteuid() else _NOBODY_SPECIAL


def lent(file: str, folder: Path, user: str) -> str:
    """The path of a copy that the user may read; empty for no file. Written in place: containers have it mounted."""
    if not file:
        return ""
    folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    copy, content = folder / Path(file).name, Path(file).read_bytes()
    if not copy.exists() or copy.read_bytes() != content:
        with os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT, 0o400), "wb") as to:
            if os.geteuid() == 0:
                uid, _, gid = user.partition(":")
                os.fchown(to.fileno(), int(uid), int(gid))
            to.truncate()
            to.write(content)
    return str(copy)
