"""Where this Python is, and how a jail gets to see it: interpreter, standard library and shared libraries, nothing else.

In the jail Python's home is `/python`. Where the user inside could not reach the files (Python below a closed home folder), or
where no mount can hide `site-packages` (tier B), a *farm* is made: hard links to the same files, or copies across file systems.
"""

import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

HOME = "/python"
_LEFT_OUT = ("site-packages", "dist-packages", "test", "tests", "idlelib", "ensurepip", "turtledemo", "lib2to3", "config-*")


class Interpreter(NamedTuple):
    """The files of this Python. `library` and `shared` are relative to its home in the jail."""

    executable: Path
    standard_library: Path
    library: str
    shared: tuple[Path, ...]


def this_interpreter() -> Interpreter:
    """The interpreter that runs this, seen through any virtual environment."""
    base = getattr(sys, "_base_executable", "") or sys.executable
    standard_library = Path(sysconfig.get_path("stdlib"))
    name = str(sysconfig.get_config_var("INSTSONAME") or "")
    # beside the library first: the folder of the build is not where a moved Python lives
    places = [Path(folder or "/", name) for folder in (f"{sys.base_prefix}/lib", sysconfig.get_config_var("LIBDIR"))]
    shared = [place for place in places if ".so" in name and os.access(place, os.R_OK)]
    return Interpreter(
        executable=Path(base).resolve(),
        standard_library=standard_library,
        library=os.path.relpath(standard_library, sys.base_prefix),
        shared=tuple(shared[:1]),
    )


def system_libraries() -> tuple[Path, ...]:
    """Folders and files outside Python that the dynamic linker needs, where they exist."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or "none"
    places = ("/lib64", "/usr/lib64", f"/lib/{multiarch}", f"/usr/lib/{multiarch}", "/lib/ld-musl-x86_64.so.1", "/etc/ld.so.cache")
    return tuple(Path(place) for place in places if Path(place).exists())


def reachable_by_others(path: Path) -> bool:
    """Whether a user with no rights of their own can read `path`: every folder above it is open."""
    resolved = path.resolve()
    closed = [folder for folder in resolved.parents if not folder.stat().st_mode & 0o001]
    return not closed and bool(resolved.stat().st_mode & 0o004)


def make_farm(python: Interpreter, target: Path) -> None:
    """Fills `target` with this Python, laid out as a home of its own. Takes some 40 ms with links, a second with copies."""
    target.mkdir()
    (target / "bin").mkdir()
    library = target / python.library
    shutil.copytree(python.standard_library, library, symlinks=True, copy_function=link_or_copy, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    (library / "site-packages").mkdir(exist_ok=True)
    link_or_copy(str(python.executable), str(target / "bin/python"))
    (target / "lib").mkdir(exist_ok=True)
    for shared in python.shared:
        link_or_copy(str(shared.resolve()), str(target / "lib" / shared.name))
    open_folders(target)


def open_folders(target: Path) -> None:
    """Lets every user look into a folder and those below it, whatever the umask or the folders they were copied from say."""
    for folder in (target, *(path for path in target.rglob("*") if path.is_dir())):
        folder.chmod(0o755)


def link_or_copy(source: str, target: str) -> str:
    """A hard link to the same file, or a copy where there can be none."""
    try:
        os.link(source, target, follow_symlinks=True)
    except OSError:
        shutil.copy2(source, target)  # another file system, or links to foreign files are forbidden
    return target
