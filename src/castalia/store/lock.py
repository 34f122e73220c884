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
from castalia.store.files import store_errors

LOCK_NAME = "run.lock"


@contextmanager
def hold_lock(root: Path, purpose: str) -> Generator[None]:
    """Holds the lock of a local store. Raises StoreError naming the holder when another process has it, or when the
    folder can't be written.

    The kernel frees the lock when its holder dies, by SIGKILL too, so a file left behind by a dead process is taken over.
    """
    path = root / LOCK_NAME
    with store_errors(str(path), "lock"):
        root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(os.read(descriptor, 4096))
            raise StoreError(f"store {str(root)!r} is in use by {holder}; wait for it to end, or stop it") from error
        with store_errors(str(path), "lock"):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, _describe(purpose).encode())
        yield
    finally:
        # The file stays: removing it would let a third process lock a new file while a second still waits on this one.
        os.close(descriptor)


def _describe(purpose: str) -> str:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "at": at, "purpose": purpose})


def _holder(text: bytes) -> str:
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']} ({holder['purpose']}, since {holder['at']})"
    except (ValueError, KeyError, TypeError):
        return "another process, which has not written its name yet"
