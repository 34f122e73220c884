"""A child process watched from outside: how long it and its descendants ran, how much memory they held, and a SIGKILL on time.

Memory is the sum over the process tree of the proportional set size (pages shared by n processes count 1/n to each), read from
`/proc` a few times per second; where the kernel hides it, the resident set. The kernel counts a large process's pages for each look and
holds it up meanwhile, so looks are far enough apart to cost little: the peak is a lower bound between two of them.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

LOOKS_EVERY = 0.25  # seconds at least
MOST_LOOKING = 0.03
"""Share of the time that looking may take."""
_PROC = Path("/proc")


class Watched(NamedTuple):
    """What became of a child."""

    code: int
    """Exit code; negative the signal that ended it."""
    seconds: float
    peak_mb: float | None
    """In units of 2**20 bytes; None on a system without `/proc`."""
    output: str
    """The end of what it wrote, both streams."""


class Process(NamedTuple):
    """A process by more than its number, which another one may get later."""

    pid: int
    started: str


def watch(
    command: Sequence[str],
    log: Path,
    *,
    kill_after: float | None = None,
    kill_when: Callable[[], bool] | None = None,
    limit: float = 3600.0,
) -> Watched:
    """Runs `command` to its end, or sends it SIGKILL `kill_after` seconds after its start or as soon as `kill_when` says
    so, as a crash would.

    Only the child itself is killed; its descendants get a moment to notice, then what is left of them is ended, so that nothing of it
    outlives the call. A child still running after `limit` seconds is killed too.
    """
    with log.open("wb") as sink:
        child = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        begun = time.monotonic()
        deadline = begun + min(limit, limit if kill_after is None else kill_after)
        peak: float | None = None
        family: set[Process] = set()
        try:
            while child.poll() is None:
                looked = time.monotonic()
                members = descendants(child.pid)
                family |= set(members)
                held = [_memory(member.pid) for member in members]
                if held:
                    peak = max(peak or 0.0, sum(held) / 2**20)
                left = deadline - time.monotonic()
                if left <= 0 or (kill_when is not None and kill_when()):
                    break
                try:
                    child.wait(min(max(LOOKS_EVERY, (time.monotonic() - looked) / MOST_LOOKING), left))
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if child.poll() is None:
                family |= set(descendants(child.pid))
                child.kill()
            code = child.wait()
            seconds = time.monotonic() - begun
            _end(family - {member for member in family if member.pid == child.pid})
    return Watched(code, seconds, peak, log.read_bytes()[-4000:].decode(errors="replace"))


def descendants(root: int) -> list[Process]:
    """The process and everything below it; empty where there is no `/proc`."""
    children: dict[int, list[Process]] = {}
    found: list[Process] = []
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if not entry.name.isdigit():
            continue
        seen = _stat(int(entry.name))
        if seen is None:
            continue
        parent, process = seen
        children.setdefault(parent, []).append(process)
        if process.pid == root:
            found.append(process)
    for member in found:  # grows while it is walked
        found.extend(children.get(member.pid, ()))
    return found


def _stat(pid: int) -> tuple[int, Process] | None:
    """(parent, process), or None when it is gone or a zombie. Fields as in proc_pid_stat(5)."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else (int(fields[1]), Process(pid, fields[19]))


def _memory(pid: int) -> int:
    """Bytes."""
    try:
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # another user's process, or gone meanwhile: the resident set is readable as long as it lives
    try:
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _end(family: set[Process], patience: float = 3.0) -> None:
    """Waits for the processes to go by themselves, then kills those that are still the same ones."""
    give_up = time.monotonic() + patience
    while (alive := [member for member in family if _is_alive(member)]) and time.monotonic() < give_up:
        time.sleep(0.05)
    for member in alive:
        try:
            os.kill(member.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _is_alive(process: Process) -> bool:
    seen = _stat(process.pid)
    return seen is not None and seen[1] == process
