"""What a jail may run beside Python: the Rust compiler with its linker, and the tools of a shell script.

A toolchain is a list of places of the host that a jail sees, nothing more; it is looked for when a runner first needs it, and one
that is missing is a refusal of its own runner only.
"""

import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from castalia.errors import ConfigError, ToolchainMissing
from castalia.sandbox.interpreter import link_or_copy, open_folders, reachable_by_others

_SHELL_TOOLS = (
    "sh", "awk", "basename", "bash", "cat", "comm", "cp", "cut", "date", "diff", "dirname", "echo", "env", "expr", "false", "find",
    "fold", "grep", "head", "join", "ls", "mkdir", "mktemp", "mv", "nl", "od", "paste", "printf", "pwd", "realpath", "rev", "rm", "rmdir",
    "sed", "seq", "sha256sum", "sleep", "sort", "split", "stat", "tac", "tail", "tee", "test", "touch", "tr", "true", "uniq", "wc", "xargs",
)  # fmt: skip
_SYSTEM = "/usr/local/bin:/usr/bin:/bin"


class Mount(NamedTuple):
    """A file or folder of the host, and where a jail of tier A sees it. In tier B it is seen where it is."""

    source: Path
    target: str


class Toolchain(NamedTuple):
    """`programs` are the folders for `PATH` and the paths a runner is told, each below one of the mounts."""

    name: str
    mounts: tuple[Mount, ...]
    path: tuple[str, ...]
    told: Mapping[str, str]
    version: str


def find_toolchain(name: str, stage: Path) -> Toolchain:
    """The toolchain `rust` or `shell`; what jails could not reach is linked or copied below `stage`. Raises ToolchainMissing, ConfigError
    for another name."""
    known = {"rust": _rust, "shell": _shell}
    if name not in known:
        raise ConfigError(f"the sandbox was asked for the toolchain {name!r}; there are {', '.join(known)}")
    return known[name](stage)


def seen_at(toolchain: Toolchain, path: str, tier: str) -> str:
    """A path of the toolchain as a jail of this tier sees it."""
    if tier == "A":
        return path
    for mount in toolchain.mounts:
        if path == mount.target or path.startswith(mount.target + "/"):
            return str(mount.source) + path[len(mount.target) :]
    return path


def _shell(stage: Path) -> Toolchain:
    found = {name: place for name in _SHELL_TOOLS if (place := shutil.which(name, path=_SYSTEM))}
    if "sh" not in found:
        raise ToolchainMissing(
            "runner 'shell' needs the program `sh`, which is not in /usr/bin; install a POSIX shell, e.g. the package `dash`"
        )
    folder = _once(stage / "shell", functools.partial(_link_programs, found))
    return Toolchain("shell", (Mount(folder, "/shell"),), ("/shell",), {"sh": "/shell/sh"}, Path(found["sh"]).resolve().name)


def _link_programs(found: Mapping[str, str], folder: Path) -> None:
    folder.mkdir()
    open_folders(folder)
    for name, place in found.items():
        # a copy, so that set-user-id bits stay behind
        shutil.copyfile(Path(place).resolve(), folder / name)
        (folder / name).chmod(0o755)


def _rust(stage: Path) -> Toolchain:
    compiler = shutil.which("rustc", path=f"{os.environ.get('PATH', '')}:{Path.home()}/.cargo/bin:{_SYSTEM}")
    linker = shutil.which("cc", path=_SYSTEM)
    if compiler is None:
        raise ToolchainMissing(
            "runner 'rust' needs `rustc`, which is not on PATH; install it: `apt-get install rustc`, or https://rustup.rs"
        )
    if linker is None:
        raise ToolchainMissing("runner 'rust' needs the linker `cc`, which is not in /usr/bin; install it: `apt-get install gcc libc6-dev`")
    sysroot = Path(_asked(compiler, "--print", "sysroot"))
    version = _asked(compiler, "--version")
    mounts = [*_linker_mounts(linker)]
    if sysroot == Path("/usr"):
        mounts += [Mount(Path(compiler).resolve(), "/usr/bin/rustc"), Mount(Path("/usr/lib/rustlib"), "/usr/lib/rustlib")]
        return Toolchain("rust", tuple(mounts), ("/usr/bin",), {"rustc": "/usr/bin/rustc"}, version)
    open_to_all = os.geteuid() != 0 or reachable_by_others(sysroot / "bin/rustc")
    home = sysroot if open_to_all else _once(stage / "rust", functools.partial(_link_compiler, sysroot))
    return Toolchain("rust", (*mounts, Mount(home, "/rust")), ("/rust/bin", "/usr/bin"), {"rustc": "/rust/bin/rustc"}, version)


def _linker_mounts(linker: str) -> list[Mount]:
    """The compiler driver, the linker proper, and what the driver brings; start files and libc lie among the system's libraries."""
    mounts = [Mount(Path(linker).resolve(), "/usr/bin/cc")]
    if ld := shutil.which("ld", path=_SYSTEM):
        mounts.append(Mount(Path(ld).resolve(), "/usr/bin/ld"))
    mounts += [Mount(Path(place), place) for place in ("/usr/lib/gcc", "/usr/libexec/gcc") if Path(place).is_dir()]
    return mounts


def _link_compiler(sysroot: Path, target: Path) -> None:
    """The compiler, its libraries and the standard library of the host's own target: no documentation, no other tools."""
    wanted = [sysroot / "bin/rustc", *(sysroot / "lib").glob("*.so*")]
    for triple in (sysroot / "lib/rustlib").iterdir():
        for part in (triple / "lib", triple / "bin"):
            wanted += [place for place in part.rglob("*") if place.is_file() and place.suffix not in {".a"}]
    for source in wanted:
        place = target / source.relative_to(sysroot)
        place.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(str(source), str(place))
    open_folders(target)


def _once(folder: Path, make: Callable[[Path], None]) -> Path:
    if not folder.exists():
        make(folder)
    return folder


def _asked(compiler: str, *words: str) -> str:
    command: Sequence[str] = [compiler, *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, cwd="/")
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolchainMissing(f"runner 'rust' needs a compiler that answers, but `{' '.join(command)}` gave {error}") from error
    return done.stdout.strip()
