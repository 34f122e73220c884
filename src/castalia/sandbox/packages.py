"""Installed distributions as the jail sees them: only those named, copied by their own file lists."""

import importlib.metadata
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from castalia.errors import ConfigError
from castalia.sandbox.interpreter import open_folders


def copy_packages(names: Sequence[str], target: Path) -> None:
    """Copies the named distributions into `target`, a folder for `sys.path`. Raises ConfigError for one that isn't installed."""
    target.mkdir()
    for name in names:
        for source, relative in distribution_files(name):
            place = target / relative
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, place)  # with its time: what is compiled already counts only for a source of that time
            place.chmod(0o644)
    open_folders(target)


def distribution_files(name: str) -> list[tuple[Path, Path]]:
    """Pairs (file, path relative to site-packages) of an installed distribution. Raises ConfigError when it isn't installed
    or was installed as a link to a source folder."""
    try:
        distribution = importlib.metadata.distribution(name)
    except (importlib.metadata.PackageNotFoundError, ValueError) as error:
        raise ConfigError(
            f"the sandbox was asked for the distribution {name!r}, which is not installed here; run `pip install {name}`"
        ) from error
    listed = distribution.files or []
    inside = [file for file in listed if not file.is_absolute() and ".." not in file.parts]
    if not any(file.suffix in {".py", ".so"} for file in inside):
        raise ConfigError(
            f"the distribution {name!r} lists no modules of its own (an editable or broken installation); the sandbox copies "
            f"distributions by their file list: run `pip install --force-reinstall {name}`"
        )
    pairs = [(Path(str(distribution.locate_file(file))), Path(*file.parts)) for file in inside]
    return [(source, relative) for source, relative in pairs if source.is_file()]


def package_set(names: Sequence[str]) -> tuple[str, ...]:
    """The names in one order and spelling (PEP 503)."""
    return tuple(sorted({re.sub(r"[-_.]+", "-", name).lower() for name in names}))
