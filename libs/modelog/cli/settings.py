"""What the command line reads from its environment, and sets there for libraries that look."""

import os


def default_project() -> str:
    """The project that MODELOG_PROJECT names; empty when it does not."""
    return os.environ.get("MODELOG_PROJECT", "")


def quiet_transport() -> None:
    """gRPC's core tells of every connection that goes away; here the sentence at the end tells what matters."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
