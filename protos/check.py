"""Lints the protos and compares them with the released ones (baseline.binpb). Run it as `make check`.

buf does both where npm can install it (package.json). Where it cannot, breaking.py compares, and the lint is skipped,
which is said loudly and is no failure: a machine with only Python must be able to pass, and the pipeline has npm.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from protos.breaking import breaks

PROTOS = Path(__file__).resolve().parent
ROOT = PROTOS.parent
BASELINE = PROTOS / "baseline.binpb"
BUF = PROTOS / "node_modules" / ".bin" / "buf"
GENERATOR = ROOT / ".venv-protos" / "bin" / "python"
NPM_SECONDS = 120


def run(*command: str | Path, timeout_seconds: float | None = None) -> bool:
    """Whether the command succeeds; its output is the reader's."""
    return subprocess.run(command, cwd=PROTOS, timeout=timeout_seconds, check=False).returncode == 0


def buf_works() -> bool:
    return BUF.exists() and subprocess.run([BUF, "--version"], capture_output=True, check=False).returncode == 0


def install_buf() -> bool:
    """Whether buf is there, installed from package-lock.json when it was not."""
    if buf_works():
        return True
    install = ("npm", "install", "--no-save", "--loglevel=error", "--fetch-retries=0")
    try:
        return run(*install, timeout_seconds=NPM_SECONDS) and buf_works()
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def check_with_buf(image: Path) -> bool:
    """Lint and breaking by buf; both report before the verdict. Positions are kept, so that it names lines."""
    common = ("--config", "buf.yaml", "--path", "modelog")
    passed = [run(BUF, "lint", image, *common), run(BUF, "breaking", image, "--against", BASELINE, *common)]
    return all(passed)


def check_with_python(image: Path) -> bool:
    print("!! buf could not be installed by npm: the LINT of the protos is SKIPPED, breaking changes are checked.")
    released, now = (FileDescriptorSet.FromString(path.read_bytes()) for path in (BASELINE, image))
    found = breaks(released, now)
    for sentence in found:
        print(f"breaking: {sentence}")
    return not found


def main() -> int:
    if not BASELINE.exists():
        print("there is no protos/baseline.binpb to compare with: run `make protos-baseline`")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.binpb"
        if not run(GENERATOR, PROTOS / "generate.py", "--comments", "--image", image):
            return 1
        by, check = ("buf", check_with_buf) if install_buf() else ("protos/breaking.py", check_with_python)
        passed = check(image)
    print(f"protos: {'pass' if passed else 'FAIL'} (by {by})")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
