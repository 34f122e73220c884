"""Stages, checks, providers, runners, detectors and embedders from other installed packages, found by their entry points.

A package offers one by an entry point in the group `castalia.stages`, `castalia.checks`, `castalia.providers`,
`castalia.runners`, `castalia.detectors` or `castalia.embedders`; `examples/plugin/` is such a package. Finding them reads metadata only;
loading imports the package.
"""

import hashlib
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from castalia.engine.stage import Stage
from castalia.errors import ConfigError

GROUPS = ("castalia.stages", "castalia.checks", "castalia.providers", "castalia.runners", "castalia.detectors", "castalia.embedders")


def load_plugin(group: str, name: str) -> Any:
    """The object a plug-in is. Raises ConfigError naming its distribution when it can't be imported or is absent."""
    return _load(_entry(group, name))


def plugin_identity(group: str, name: str) -> str:
    """What a plug-in is made of, for fingerprints: its distribution, version, entry point and a hash of its package's files.

    The files count beside the version, because a package installed as a link to its source changes without one. Raises
    ConfigError when it is absent.
    """
    entry = _entry(group, name)
    made_by = f"{entry.dist.name}=={entry.dist.version}" if entry.dist else "no distribution"
    return f"{name}: {entry.value} of {made_by}, sha256 {_content(entry)}"


def plugin_stages() -> tuple[Stage, ...]:
    """The stages of all installed plug-ins, by name. Raises ConfigError naming the distribution of a broken one."""
    return tuple(_stage(entry) for _, entry in sorted(_found("castalia.stages").items()))


def _stage(entry: EntryPoint) -> Stage:
    loaded = _load(entry)
    if not isinstance(loaded, Stage):
        raise ConfigError(f"plug-in {entry.name!r} of {_distribution(entry)} is {loaded!r:.80}, a stage is needed; point it at a Stage")
    return loaded


def _found(group: str) -> dict[str, EntryPoint]:
    if group not in GROUPS:
        raise ConfigError(f"there is no plug-in group {group!r}; groups are: {', '.join(GROUPS)}")
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group):
        first = found.setdefault(entry.name, entry)
        if first.value != entry.value:
            raise ConfigError(
                f"plug-in {entry.name!r} of group {group!r} is offered by {_distribution(first)} and {_distribution(entry)}; uninstall one"
            )
    return found


def _entry(group: str, name: str) -> EntryPoint:
    found = _found(group)
    if name not in found:
        raise ConfigError(f"no plug-in {name!r} in group {group!r}; installed there: {sorted(found) or 'none'}")
    return found[name]


def _content(entry: EntryPoint) -> str:
    """Hash over names and bytes of the files of the package, or of the single module, that the entry point names."""
    spec = find_spec(entry.module.partition(".")[0])
    if spec is None:
        return "absent"
    folders = [Path(place) for place in spec.submodule_search_locations or ()]
    files = [(path.relative_to(folder).as_posix(), path) for folder in folders for path in folder.rglob("*") if path.is_file()]
    if not folders and spec.origin:
        files = [(Path(spec.origin).name, Path(spec.origin))]
    digest = hashlib.sha256()
    for name, path in sorted(files):
        if path.suffix != ".pyc":
            digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _load(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:
        raise ConfigError(
            f"plug-in {entry.name!r} of {_distribution(entry)} can't be loaded from {entry.value!r}: {type(error).__name__}: {error}; "
            f"repair or uninstall it"
        ) from error


def _distribution(entry: EntryPoint) -> str:
    return f"distribution {entry.dist.name!r}" if entry.dist else "an unknown distribution"
