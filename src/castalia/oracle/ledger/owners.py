"""Who holds a lease, and whether they still live.

Every process that opens the ledger for writing holds an exclusive lock on a file of its own beside it. The kernel drops the lock when
the process dies, however it dies: no heartbeat, no guess from a reused process id, and it works across containers on one disk.
"""

import fcntl
import os
import uuid
from pathlib import Path
from typing import IO


class Owner:
    """This process's claim; `token` marks its leases."""

    def __init__(self, ledger: Path):
        self.token = uuid.uuid4().hex
        self._path = lock_file(ledger, self.token)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = self._path.open("xb")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.pid = os.getpid()

    def leave(self) -> None:
        """Gives the lock up."""
        self._path.unlink(missing_ok=True)
        self._file.close()


def lock_file(ledger: Path, token: str) -> Path:
    """Where the owner `token` keeps its lock."""
    return ledger.with_name(ledger.name + ".owners") / token


def is_alive(ledger: Path, token: str) -> bool:
    """Whether the owner's process still runs."""
    try:
        with lock_file(ledger, token).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
