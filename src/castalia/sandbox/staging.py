"""The staging folder of one sandbox: what jails need and the host's own folders can't give them.

inside/       the supervisor's modules
python/       the farm, where one is needed
packages-N/   copied distributions
alive         locked as long as the sandbox's process lives
bwrap/        a reachable copy of bubblewrap, where one is needed
work-N/       working folders of tier B, one per jail
"""

import compileall
import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from pathlib import Path

_NAME = re.compile(r"castalia-sandbox-(\d+)-")
_INSIDE = Path(__file__).parent / "inside"
_ALIVE = "alive"
_held: dict[Path, int] = {}


def make_stage() -> Path:
    """A new staging folder below the system's temporary folder, readable by others; those of dead processes are removed."""
    base = Path(tempfile.gettempdir())
    _remove_abandoned(base)
    stage = Path(tempfile.mkdtemp(prefix=f"castalia-sandbox-{os.getpid()}-", dir=base))
    stage.chmod(0o755)
    _hold(stage / _ALIVE)
    modules = stage / "inside" / "inside"
    modules.mkdir(parents=True)
    for source in sorted(_INSIDE.glob("*.py")):
        shutil.copyfile(source, modules / source.name)
    compileall.compile_dir(modules, quiet=2, stripdir=str(stage))  # jails can't write, so they would compile every time
    for path in (modules.parent, *modules.parent.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return stage


def remove_stage(stage: Path) -> None:
    """Removes a staging folder; what is left of it, if anything, goes when a later sandbox opens."""
    for work in stage.glob("work-*"):
        remove_deep(work)
    shutil.rmtree(stage, ignore_errors=True)
    if (descriptor := _held.pop(stage, None)) is not None:
        os.close(descriptor)


def remove_deep(folder: Path) -> None:
    """Removes a folder that foreign code filled, however deep: inner folders are moved up to its top and emptied there, so no path
    grows long and nothing recurses."""
    number = 0
    with contextlib.suppress(OSError):  # what can't be removed now goes when a later sandbox opens
        folder.chmod(0o700)
        waiting = [folder]
        while waiting:
            place = waiting.pop()
            place.chmod(0o700)
            with os.scandir(place) as entries:
                for entry in entries:
                    if not entry.is_dir(follow_symlinks=False):
                        Path(entry.path).unlink()
                        continue
                    with contextlib.suppress(OSError):  # it is not empty
                        Path(entry.path).rmdir()
                        continue
                    number += 1
                    above = folder.parent / f"{folder.name}-{number}"
                    waiting.append(Path(entry.path).rename(above))
            place.rmdir()


def _remove_abandoned(base: Path) -> None:
    for folder in base.glob("castalia-sandbox-*"):
        match = _NAME.match(folder.name)
        mine = match and folder.lstat().st_uid == os.getuid() and not folder.is_symlink()
        if match and mine and not Path(f"/proc/{match[1]}").exists() and not _is_held(folder / _ALIVE):
            remove_stage(folder)


def _hold(file: Path) -> None:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    _held[file.parent] = descriptor


def _is_held(file: Path) -> bool:
    """Whether a process holds the file. Where containers share the folder, its process may live without being seen here by its id."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
