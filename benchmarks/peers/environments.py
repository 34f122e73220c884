"""Virtual environments of the software that benchmarks compare with: one per peer, under the user's cache, never our dependency.

With `--peers` what is missing is installed by pip; without it only what is there is measured.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

INSTALL_SECONDS = 600.0
WANTED = "CASTALIA_BENCHMARK_PEERS"
"""Environment variable that `--peers` sets."""


class NoEnvironment(Exception):
    """It can't be had; the message is the reason."""


def environment(name: str, requirements: Sequence[str]) -> Path | None:
    """The Python of an environment that holds `requirements`; None, with the reason printed to stderr, where it can't be had."""
    try:
        return require(name, requirements)
    except NoEnvironment as reason:
        print(f"{name}: {reason}", file=sys.stderr)
        return None


def require(name: str, requirements: Sequence[str]) -> Path:
    """The Python of an environment that holds `requirements`. Raises NoEnvironment."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "castalia" / "peers" / name
    python = folder / "bin" / "python"
    complete = folder / "complete"
    if complete.is_file() and complete.read_text(encoding="utf-8") == "\n".join(requirements):
        return python
    if os.environ.get(WANTED) != "1":
        raise NoEnvironment("not installed; `--peers` installs it into an environment of its own under the user's cache")
    for command in ([sys.executable, "-m", "venv", str(folder)], [str(python), "-m", "pip", "install", "-q", *requirements]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        except subprocess.TimeoutExpired:
            raise NoEnvironment(f"did not install within {INSTALL_SECONDS:.0f} s") from None
        if done.returncode:
            raise NoEnvironment(f"does not install: {(done.stderr.strip().splitlines() or ['no message'])[-1][:200]}")
    complete.write_text("\n".join(requirements), encoding="utf-8")  # last, so that its existence means that the install completed
    return python
