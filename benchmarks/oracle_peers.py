"""Other frameworks to measure beside ours, each in its own virtual environment under the user's cache. Never our dependencies.

With `--peers` what is missing is installed by pip; without it only what is there is measured.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

INSTALL_SECONDS = 600.0
PACKAGES = {"bespokelabs-curator": "curator", "distilabel": "distilabel", "data-designer": "data_designer"}
"""Package and the name of its script below `benchmarks/peers`."""


class Peer(NamedTuple):
    """A framework that can be run."""

    name: str
    """With its version."""
    command: list[str]
    """Interpreter and script; takes the arguments of `benchmarks.oracle_client`."""


def peers(nulls: dict[str, str]) -> list[Peer]:
    """Those that can be run here; the others are named in `nulls` with the reason."""
    found: list[Peer] = []
    for package, script in PACKAGES.items():
        file = Path(__file__).with_name("peers") / f"{script}.py"
        python = _cache() / script / "bin" / "python"
        if not file.is_file():
            nulls[package] = f"there is no benchmarks/peers/{script}.py that calls it"
            continue
        reason = None if python.is_file() else _install(package, python.parents[1])
        if reason is None:
            version = subprocess.run(
                [python, "-c", f"from importlib.metadata import version; print(version({package!r}))"], capture_output=True, text=True
            ).stdout.strip()
            if version:
                found.append(Peer(f"{package} {version}", [str(python), str(file)]))
                continue
            reason = f"{package} is not in {python.parents[1].name!r} of the peers' folder; remove that folder and run again"
        nulls[package] = reason
    return found


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "castalia" / "benchmark-peers"


def _install(package: str, folder: Path) -> str | None:
    if os.environ.get("CASTALIA_BENCHMARK_PEERS") != "1":
        return "not installed; `--peers` installs it into an environment of its own under the user's cache"
    commands = [[sys.executable, "-m", "venv", str(folder)], [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", package]]
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        except subprocess.TimeoutExpired:
            return f"did not install within {INSTALL_SECONDS:.0f} s"
        if done.returncode:
            return f"does not install: {(done.stderr.strip().splitlines() or ['no message'])[-1][:200]}"
    return None
