"""What the command line sets in its own environment, for libraries that look there."""

import os


def quiet_transport() -> None:
    """gRPC's core tells of every connection that goes away; here the sentence at the end tells what matters."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
