"""Who calls, as a client proves it to each service: what was given, the environment, the suite nearby, a login."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from modelog.sdk import logins, settings, tokens
from modelog.sdk.channels import is_loopback
from modelog.sdk.errors import NotConfigured
from modelog.sdk.tokens import Tokens


@dataclass
class Identity:
    """given: tokens for all services; None to look for some. on_behalf_of goes into tokens that are made here."""

    given: Tokens | None = None
    actor: str = ""
    on_behalf_of: tuple[str, ...] = ()
    _made: dict[str, Tokens | None] = field(default_factory=dict, repr=False)

    def tokens(self, address: str, *, encrypted: bool) -> Tokens | None:
        """For calls of the service at an address; None when nothing proves who calls.

        NotConfigured when a token would cross a network in the clear: whoever reads it there is the caller.
        """
        local = is_loopback(address)
        found = self.given or self._found(address, reachable=encrypted or local)
        if found is not None and not encrypted and not local:
            raise NotConfigured(
                f"a token is not sent to {address} in the clear: say MODELOG_CA_FILE (`system` for the system's own "
                "authorities), or pass ca_file or credentials"
            )
        return found

    def _found(self, address: str, *, reachable: bool) -> Tokens | None:
        """A suite's services get tokens of the suite, if it makes any; logins are for all others."""
        description = settings.nearest_suite()[1]
        if address in {str(one.get("address")) for one in description.get("services", {}).values()}:
            folder = description.get("issuer", {}).get("folder")
            return self._of_suite(Path(folder)) if folder else None
        login = logins.chosen() if reachable else None
        return self._of_login(login.issuer) if login else None

    def _of_suite(self, folder: Path) -> Tokens | None:
        return self._once(f"suite {folder}", lambda: tokens.of_suite(folder, self.actor, self.on_behalf_of))

    def _of_login(self, issuer: str) -> Tokens | None:
        return self._once(f"login {issuer}", lambda: Tokens(lambda: logins.token(issuer)))

    def _once(self, name: str, make: Callable[[], Tokens | None]) -> Tokens | None:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


def identity(
    token: str | Callable[[], str], token_file: str | Path, actor: str, on_behalf_of: tuple[str, ...]
) -> Identity:
    """Of what was given to `connect`, or else of MODELOG_TOKEN_FILE."""
    file = settings.token_file(token_file)
    given = tokens.of_text(token) if token else tokens.of_file(file) if file else None
    return Identity(given, actor, on_behalf_of)
