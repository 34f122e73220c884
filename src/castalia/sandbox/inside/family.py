# ruff: noqa: SIM105 - contextlib is one more import in every jail
"""Foreign processes as one family: started by the supervisor, ended together, none left behind."""

import os
import signal
from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn

from .confine import Confinement, confine_foreign


class End(NamedTuple):
    """How the first process of a family ended. `status` is that of os.waitstatus_to_exitcode: negative for a signal."""

    status: int
    peak_memory_mb: float


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
            os.kill(-1, signal.SIGKILL)  # within the process namespace: all but its init and the caller
        else:
            os.killpg(leader, signal.SIGKILL)  # setsid and setpgid are denied, so nobody has left the group
    except ProcessLookupError:
        pass  # all dead by themselves
    result = None
    while True:
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return result
        if pid == leader:
            result = End(os.waitstatus_to_exitcode(status), usage.ru_maxrss / 1024)
