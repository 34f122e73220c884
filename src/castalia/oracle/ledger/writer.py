"""One thread writes. Operations that wait at the same moment share one commit, so full durability costs latency, not rate."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from castalia.errors import StoreError
from castalia.oracle.failpoints import failpoint
from castalia.oracle.ledger.tables import store_error

R = TypeVar("R")
Operation = Callable[[sqlite3.Connection], R]
_Item = tuple[Operation[Any], "Future[Any] | asyncio.Future[Any]"]
_Result = tuple["Future[Any] | asyncio.Future[Any]", Any, BaseException | None]

GROUP = 512
"""Operations in one commit at most."""


class Writer:
    """Runs operations inside transactions, in order. Each is atomic by itself; a result is given out after its commit."""

    def __init__(self, connection: sqlite3.Connection, path: Path):
        self._connection = connection
        self._path = path
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="castalia-ledger", daemon=True)
        self._thread.start()
        self._closed = False

    def submit(self, operation: Operation[R]) -> "Future[R]":
        """Queues an operation."""
        future: Future[R] = Future()
        self._put((operation, future))
        return future

    async def run(self, operation: Operation[R]) -> R:
        """Waits for the commit of an operation. Once queued it happens, also when the waiting task is cancelled."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._put((operation, future))
        return await future

    def _put(self, item: _Item) -> None:
        if self._closed:
            raise StoreError(f"ledger {str(self._path)!r} is closed; open it again")
        self._queue.put(item)

    def close(self) -> None:
        """Commits what is queued and ends the thread."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        last = False
        while not last:
            group: list[_Item] = []
            item = self._queue.get()
            while item is not None:
                group.append(item)
                if len(group) == GROUP or self._queue.empty():
                    break
                item = self._queue.get()
            last = item is None
            if group:
                self._commit(group)

    def _commit(self, group: list[_Item]) -> None:
        results: list[_Result] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for operation, future in group:
                self._connection.execute("SAVEPOINT operation")
                try:
                    results.append((future, operation(self._connection), None))
                except Exception as error:
                    if isinstance(error, sqlite3.OperationalError):
                        raise  # disk and lock errors concern the whole group
                    self._connection.execute("ROLLBACK TO operation")
                    results.append((future, None, error))
                self._connection.execute("RELEASE operation")
            failpoint("mid-commit")
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            failure = store_error(error, self._path)
            failure.__cause__ = error
            results = [(future, None, failure) for _, future in group]
        _deliver([result for result in results if isinstance(result[0], Future)])
        # One wake-up of a loop serves all of its tasks in this group.
        waiting: dict[asyncio.AbstractEventLoop, list[_Result]] = {}
        for result in results:
            if isinstance(result[0], asyncio.Future):
                waiting.setdefault(result[0].get_loop(), []).append(result)
        for loop, group_results in waiting.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_deliver, group_results)


def _deliver(results: list[_Result]) -> None:
    for future, value, error in results:
        if future.done():  # its task was cancelled meanwhile
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
