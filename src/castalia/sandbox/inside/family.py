# ruff: noqa: SIM105 - contextlib is one more import in every jail
"""Foreign processes as one family: started by the supervisor, ended together, none left behind."""

from __future__ import annotations

import os

from .confine import Confinement, confine_foreign

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

_KILL = 9  # the module `signal` would bring `enum` into every jail


class End:
    """How the first process of a family ended. `status` is that of os.waitstatus_to_exitcode: negative for a signal; the
    rest is the family's: seconds of CPU of all of it, and the peak of its largest process in MiB."""

    def __init__(self, status: int, peak_memory_mb: float, cpu_seconds: float) -> None:
        self.status, self.peak_memory_mb, self.cpu_seconds = status, peak_memory_mb, cpu_seconds


def start(jail: Confinement, streams: Mapping[int, int], body: Callable[[], None]) -> int:
    """Forks a confined process that sees only `streams` (its number -> the descriptor it gets) and calls `body`. Returns its id."""
    child = os.fork()
    if not child:
        _become_foreign(jail, streams, body)
    else:
        try:
            os.setpgid(child, child)  # both sides set it, so it holds whoever runs first
        except (ProcessLookupError, PermissionError):
            pass  # it is dead or runs its program already, and then it has set it
    return child


def _become_foreign(jail: Confinement, streams: Mapping[int, int], body: Callable[[], None]) -> NoReturn:
    try:
        os.setpgid(0, 0)
        # first out of the way of the numbers they are going to, then into place
        moved = {number: os.dup2(source, 100 + number, inheritable=True) for number, source in streams.items()}
        for number, source in moved.items():
            os.dup2(source, number, inheritable=True)
        os.closerange(max(streams) + 1, 4096)
        os.chdir(jail.work)
        confine_foreign(jail)
        body()
    except OSError as error:
        os.write(2, f"the process could not be confined: {error}\n".encode())
    finally:
        os._exit(99)  # never back into the supervisor's code, whatever was raised


def end(jail: Confinement, leader: int) -> End | None:
    """Kills every foreign process and reaps them all. None when the leader was reaped before."""
    try:
        if jail.tier == "A":
            os.kill(-1, _KILL)  # within the process namespace: all but its init and the caller
        else:
            os.killpg(leader, _KILL)  # setsid and setpgid are denied, so nobody has left the group
    except ProcessLookupError:
        pass  # all dead by themselves
    status: int | None = None
    peak = cpu = 0.0
    while True:
        try:
            pid, raw, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return None if status is None else End(status, peak, cpu)
        peak = max(peak, usage.ru_maxrss / 1024)
        cpu += usage.ru_utime + usage.ru_stime
        if pid == leader:
            status = os.waitstatus_to_exitcode(raw)
