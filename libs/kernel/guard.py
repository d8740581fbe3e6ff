"""Nothing is unpickled in our processes, whoever asks for it: a pickle that names a class could run anything.

Libraries import `pickle` without our doing (numpy does), so its absence cannot be the proof. The interpreter tells of
every class that a pickle looks for (PEP 578), and here that ends the attempt.
"""

import sys


def refuse_pickles() -> None:
    """For the rest of the process; it cannot be taken back."""
    sys.addaudithook(_heard)


def _heard(event: str, arguments: tuple[object, ...]) -> None:
    if event == "pickle.find_class":
        raise PermissionError(f"a pickle asked for {arguments!r}; this process unpickles nothing")
