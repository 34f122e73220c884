"""What decides, beside a candidate and its input, what foreign code does here: harnesses and distributions, by content and version."""

import hashlib
import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path

from castalia.sandbox.packages import package_set
from castalia.sandbox.values import RunnerConfig

_ROOM = Path(__file__).parent
_HARNESSES = _ROOM / "harnesses"
BUILT_IN: Mapping[str, RunnerConfig] = {
    "python": RunnerConfig(harness=str(_HARNESSES / "python.py")),
    "rust": RunnerConfig(harness=str(_HARNESSES / "rust.py"), toolchain="rust"),
    "shell": RunnerConfig(harness=str(_HARNESSES / "shell.py"), toolchain="shell"),
}
"""The runners that are always there, by name."""
_ALWAYS = ("inside/evaluate.py",)
_BESIDE = {"rust": ("inside/plain.py", "harnesses/rust_build.py", "rust.py", "rust_types.py", "rust/plain.rs")}
"""What makes values beside a harness, of every runner and of a built-in one."""


def runtime_identity(runners: Mapping[str, RunnerConfig], packages: Sequence[str]) -> tuple[str, ...]:
    """One line per runner, the built-in ones included, and per distribution that a harness or a tool may import, sorted.

    What is missing is named as absent, so that a configuration can be planned where it can't be run; opening the sandbox
    raises for it.
    """
    harnesses = {name: Path(runner.harness) for name, runner in {**BUILT_IN, **runners}.items()}
    imported = package_set([*packages, *(name for runner in runners.values() for name in runner.packages)])
    beside = {name: [_ROOM / other for other in (*_ALWAYS, *_BESIDE.get(name, ()))] for name in harnesses}
    lines = [f"runner {name} sha256 {_content([path, *beside[name]])}" for name, path in harnesses.items()]
    lines += [f"runner {name} imports {package}" for name, runner in runners.items() for package in package_set(runner.packages)]
    return tuple(sorted([*lines, *(f"{name}=={_version(name)}" for name in imported)]))


def _content(paths: Sequence[Path]) -> str:
    try:
        return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)).hexdigest()
    except OSError:
        return "absent"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
