"""Permissions held only on what one made oneself, or on nothing protected: decided at the append. Pure."""

from collections.abc import Sequence
from typing import Any

from kernel.errors import Denied


def check_own(principals: Sequence[str], state: Any, others: Sequence[Any]) -> None:
    """Denied unless each of `principals` is among the makers of the version that is written to or decided on.

    An environment that is protected is nobody's own, so nothing is brought into one by such a permission. Without
    `principals` that is all there is to check.
    """
    for one in (state, *others):
        if getattr(one, "protected", False):
            raise Denied("PROTECTED_ENVIRONMENT", f"{one.name} is protected; a deployer has to bring versions into it")
    if not principals:
        return
    version = next((one for one in (state, *others) if "makers" in one.DESCRIPTOR.fields_by_name), None)
    if version is not None and not version.name:
        return  # There is none, which the verb itself says best.
    for principal in principals:
        if version is None or principal not in version.makers:
            raise Denied("NOT_YOUR_OWN", f"{principal} may do this only with versions they made; ask one of its makers")
