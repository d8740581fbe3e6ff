"""People and jobs with real tokens, for services that run with identity=roles."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from suite.issuer import Issuer

ADMINISTRATOR = "users/root"


class People:
    """`people("users/ada")` is the metadata of a call by Ada. One issuer for all services of a test.

    async with service(BLUEPRINT, nats, postgres, folder, schema=schema, **people.settings()) as live:
        await stub.CreateProject(request, metadata=people(ADMINISTRATOR))
    """

    def __init__(self, folder: Path) -> None:
        self.issuer = Issuer(folder / "issuer").open()

    def settings(self, administrators: Sequence[str] = (ADMINISTRATOR,), **more: Any) -> dict[str, Any]:
        """Settings of a service that knows these people."""
        values: dict[str, Any] = {**self.issuer.settings(), "oidc_trusts_subjects": True}
        return values | {"identity": "roles", "administrators": ",".join(administrators)} | more

    def __call__(self, principal: str, *on_behalf_of: str, **claims: Any) -> tuple[tuple[str, str], ...]:
        return bearer(self.issuer.token(principal, on_behalf_of=on_behalf_of, **claims))


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)
