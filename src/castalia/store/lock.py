"""One run at a time on a store: a lock file that names its holder and is free as soon as the holder is gone."""

import fcntl
import json
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from castalia.errors import StoreError

LOCK_NAME = "run.lock"


@contextmanager
def hold_lock(root: Path, purpose: str) -> Generator[None]:
    """Holds the lock of a local store. Raises StoreError naming the holder when another process has it.

    The kernel frees the lock when its holder dies, by SIGKILL too, so a file left behind by a dead process is taken over.
    """
    root.mkdir(parents=True, exist_ok=True)
    path = root / LOCK_NAME
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise StoreError(f"store {str(root)!r} is in use by {_holder(file.read())}; wait for it to end, or stop it") from error
        file.truncate(0)
        file.write(_describe(purpose))
        file.flush()
        try:
            yield
        finally:
            # The file stays: removing it would let a third process lock a new file while a second still waits on this one.
            file.truncate(0)


def _describe(purpose: str) -> str:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "at": at, "purpose": purpose})


def _holder(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']} ({holder['purpose']}, since {holder['at']})"
    except (ValueError, KeyError, TypeError):
        return "another process, which has not written its name yet"
