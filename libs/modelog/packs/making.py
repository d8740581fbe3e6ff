"""Makes a pack: reads as of one revision, proves every fact, writes the folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from modelog.packs.evidence import prove
from modelog.packs.folder import files_of, write
from modelog.packs.parts import Content
from modelog.packs.reading import Reading, revision_at
from modelog.sdk.session import AsOf
from modelog.sdk.sync_client import SyncClient


def make(
    client: SyncClient,
    at: AsOf | None,
    projects: Sequence[str],
    compose: Callable[[Reading], Content],
    folder: Path,
    key: Any,
    *,
    size: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Writes a pack and says what is in it: folder, revision, size of the checkpoint, counts of facts and files.

    at: a revision or a time; now when None. projects: in whose facts the moment is looked for, all when empty. key: a
    private key as `modelog.provenance.keys.private_key` gives it. size: of the checkpoint; the first that covers the
    revision when 0. progress: told how many facts of how many are proved. FileExistsError where the folder holds
    something; NothingThere when there is nothing to tell of.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there already; name a new folder")
    with Reading(client, revision_at(client, at, projects)) as reading:
        content = compose(reading)
    evidence = prove(client, content.revision, content.entries, size=size, progress=progress)
    files = files_of(content, evidence, key)
    write(folder, files)
    return {
        "folder": str(folder),
        "kind": content.kind,
        "subject": content.subject,
        "revision": content.revision,
        "size": evidence.checkpoint.head.size,
        "facts": len(content.entries),
        "files": len(files),
    }
