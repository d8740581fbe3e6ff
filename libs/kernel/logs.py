"""structlog as every process of ours takes it: without rich.

structlog would import rich, where it is installed, for tracebacks on a terminal: 3 MB in every service that nobody
sees. Whoever logs imports from here; tests/house holds it.
"""

import sys

_absent = "rich" not in sys.modules
if _absent:
    sys.modules["rich"] = None  # type: ignore[assignment]
import structlog  # noqa: E402

if _absent:
    del sys.modules["rich"]

__all__ = ["structlog"]
