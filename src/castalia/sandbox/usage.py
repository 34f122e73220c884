"""What a jail's processes use, as the host sees it: memory, disk, and who they are (proc_pid(5))."""

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

_MOST_ENTRIES, _LONGEST_PATH = 10_000, 2_000  # of a working folder on the host's disk


def family_of(pid: int) -> set[int]:
    """A process and its descendants."""
    waiting = [pid]
    found: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            with contextlib.suppress(OSError):  # it ended while we looked
                for task in Path(f"/proc/{one}/task").iterdir():
                    waiting += [int(child) for child in (task / "children").read_text().split()]
    return found


def private_memory_mb(family: Iterable[int]) -> float:
    """MiB of anonymous and shared memory of processes. Pages shared after a fork count once per process."""
    total = 0
    for one in family:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{one}/status").read_text().splitlines():
                if line.startswith(("RssAnon:", "RssShmem:")):
                    total += int(line.split()[1])
    return total / 1024


def unlinked_mb(family: Iterable[int], work: Path) -> float:
    """MiB of files of the disk that processes hold open or mapped though they are in no folder any more. A mapping counts whole."""
    sizes: dict[tuple[int, int], int] = {}
    for one in family:
        with contextlib.suppress(OSError), os.scandir(f"/proc/{one}/fd") as descriptors:
            for descriptor in descriptors:
                with contextlib.suppress(OSError):
                    status = descriptor.stat()
                    if stat.S_ISREG(status.st_mode) and not status.st_nlink:
                        sizes[status.st_dev, status.st_ino] = status.st_blocks * 512
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{one}/maps").read_bytes().splitlines():
                span, _, _, device, inode, *path = line.split(maxsplit=5)
                if path and path[0].startswith(os.fsencode(work)) and path[0].endswith(b" (deleted)"):
                    start, end = (int(place, 16) for place in span.split(b"-"))
                    major, minor = (int(number, 16) for number in device.split(b":"))
                    place = os.makedev(major, minor), int(inode)
                    sizes[place] = max(sizes.get(place, 0), end - start)
    return sum(sizes.values()) / (1 << 20)


def folder_mb(folder: Path) -> float:
    """MiB of disk below a folder, links not followed. Infinite where there are more entries than disk counts, folders deeper than paths
    reach, or folders that can't be looked into: foreign code made them, and each costs the host something."""
    total = entries = 0
    waiting = [str(folder)]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place) as found:
                for entry in found:
                    entries += 1
                    if entries > _MOST_ENTRIES or len(place) > _LONGEST_PATH:
                        return float("inf")
                    with contextlib.suppress(FileNotFoundError):  # it was removed since the folder was read; the others were not
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):
            continue  # the folder itself was removed since
        except PermissionError:
            return float("inf")
    return total / (1 << 20)


def session_groups(session: int) -> set[int]:
    """Process groups of the living processes in a session (proc_pid_stat(5): state is field 3, group 5, session 6)."""
    groups: set[int] = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == session and fields[0] not in "ZX":
                    groups.add(int(fields[2]))
    return groups
