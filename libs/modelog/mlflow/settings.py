"""How to prove to a tracking server who asks: the variables that MLflow's own client reads."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credentials:
    """A token, or a name and a password; all empty where the server asks for neither."""

    token: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)


def credentials(environment: Mapping[str, str] | None = None) -> Credentials:
    given = os.environ if environment is None else environment
    return Credentials(
        given.get("MLFLOW_TRACKING_TOKEN", ""),
        given.get("MLFLOW_TRACKING_USERNAME", ""),
        given.get("MLFLOW_TRACKING_PASSWORD", ""),
    )


def tracking_uri(environment: Mapping[str, str] | None = None) -> str:
    """Where the tracking server is, where nobody said it otherwise."""
    return (os.environ if environment is None else environment).get("MLFLOW_TRACKING_URI", "")
