"""Values of secrets, read at the moment a replica starts, and handed over in its environment alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.deployment.drivers.port import Secret

_MOST_BYTES = 64 * 1024


class NoSecret(Exception):
    """A secret cannot be read; the text says which one and what to do, and nothing of what is in it."""


@dataclass(frozen=True)
class Keeper:
    """What this installation lends. folder: with a folder of files for each project, by its id; none when None.
    variables: of this service by name, for every project.

    Only what is lent can be named by an environment, so nobody who may define one reads the service's own passwords,
    or the files of another project.
    """

    folder: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    def values(self, project: str, secrets: Iterable[Secret]) -> dict[str, str]:
        """Value by variable; `project` is its id. Raises NoSecret for the first one that is not there."""
        return {one.variable: self._value(project, one) for one in secrets}

    def _value(self, project: str, secret: Secret) -> str:
        if secret.source == "file":
            return self._file(project, secret)
        if secret.source == "environment_variable" and secret.place in self.variables:
            return self.variables[secret.place]
        raise NoSecret(
            f"secret {secret.variable}: this installation lends no variable {secret.place}; set it, and name it in "
            "MODELOG_SECRET_VARIABLES"
        )

    def _file(self, project: str, secret: Secret) -> str:
        """Without the end of its last line, which editors add."""
        if self.folder is None:
            raise NoSecret(f"secret {secret.variable}: set MODELOG_SECRETS_DIR to the folder with secrets")
        path = self.folder / project / secret.place
        try:
            with path.open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
            text = content.decode()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
            raise NoSecret(f"secret {secret.variable}: {path} cannot be read: {why}") from None
        if len(content) > _MOST_BYTES or "\0" in text:
            raise NoSecret(f"secret {secret.variable}: {path} holds more than an environment variable takes")
        return text.removesuffix("\n").removesuffix("\r")
