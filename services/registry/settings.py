"""The registry's environment."""

from dataclasses import dataclass

import kernel.settings


@dataclass(frozen=True)
class Settings(kernel.settings.Settings):
    """Nothing beyond what every service needs."""
