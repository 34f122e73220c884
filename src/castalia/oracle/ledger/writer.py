"""One thread writes. Steps that wait at the same moment share one commit, so full durability costs latency, not rate."""

import asyncio
import queue
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from castalia.errors import StorageFull, StoreError
from castalia.oracle.failpoints import failpoint
from castalia.oracle.ledger import operations
from castalia.oracle.ledger.batches import Finish, NotPlain, Receive, Send, finish_all, receive_all, send_all
from castalia.oracle.ledger.books import Books, load_books, restore, save_books
from castalia.oracle.ledger.tables import store_error

R = TypeVar("R")
Operation = Callable[[sqlite3.Connection, Books], R]
Step = Send | Receive | Finish | Operation[Any]
_Waiting = Future[Any] | asyncio.Future[Any] | None
_Item = tuple[Step, _Waiting]
_Result = tuple[_Waiting, Any, BaseException | None]

GROUP = 1024
"""Steps in one commit at most."""
GATHER_SECONDS = 0.002
"""Least time from one commit to the next: what arrives meanwhile shares the next one. A lone step never waits for it."""


class Writer:
    """Runs steps inside transactions. Each is atomic by itself; a result is given out after its commit.

    Within one commit, money is freed before it is reserved, and answers come first. `token` marks this process's leases; `headroom` is
    the free space in bytes without which no call is sent.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, token: str, headroom: int):
        self._connection = connection
        self._path = path
        self._token = token
        self._headroom = headroom
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._books: Books | None = None
        self._version = -1
        self._hits: dict[tuple[str, str, str, str], int] = {}
        self._hits_lock = threading.Lock()
        self._unfinished: list[_Item] = []
        self._lost: StoreError | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="castalia-ledger", daemon=True)
        self._thread.start()

    def submit(self, operation: Operation[R]) -> "Future[R]":
        """Queues an operation."""
        future: Future[R] = Future()
        self._put((operation, future))
        return future

    def queue(self, step: Send | Receive | Operation[Any]) -> "asyncio.Future[Any]":
        """Queues a step; the future ends with its commit. It happens, also when nobody waits for it."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._put((step, future))
        return future

    def finish(self, finish: Finish) -> None:
        """Queues the end of a call, for which nobody waits: its bytes are committed, so a crash now can't lose them."""
        self._put((finish, None))

    def hit(self, name: tuple[str, str, str, str]) -> None:
        """Counts an answer from the ledger; written with the next commit."""
        with self._hits_lock:
            self._hits[name] = self._hits.get(name, 0) + 1

    def flush(self) -> None:
        """Waits until everything queued is in the file. Raises the error that kept it out."""
        self.submit(_nothing).result()
        if self._lost is not None:
            raise self._lost

    def require_room(self) -> None:
        """Raises StorageFull when less than the headroom is free."""
        if (full := self._disk_is_full()) is not None:
            raise full

    def close(self) -> None:
        """Commits what is queued and ends the thread. Raises StoreError for ends of calls that could not be written."""
        if not self._is_closed:
            self._is_closed = True
            self._queue.put(None)
            self._thread.join()
            self._connection.close()
            if self._lost is not None:
                raise self._lost

    def _put(self, item: _Item) -> None:
        if self._is_closed:
            raise StoreError(f"ledger {str(self._path)!r} is closed; open it again")
        self._queue.put(item)

    def _run(self) -> None:
        is_last, committed_at = False, 0.0
        while not is_last:
            group: list[_Item] = []
            item = self._queue.get()
            wait = committed_at + GATHER_SECONDS - time.monotonic()
            if wait > 0 and item is not None:
                time.sleep(wait)
            while item is not None:
                group.append(item)
                if len(group) == GROUP or self._queue.empty():
                    break
                item = self._queue.get()
            is_last = item is None
            if group or (is_last and (self._unfinished or self._hits)):
                self._commit(group)
                committed_at = time.monotonic()

    def _commit(self, group: list[_Item]) -> None:
        group = self._unfinished + group
        self._unfinished = []
        with self._hits_lock:
            hits, self._hits = self._hits, {}
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            books = self._current_books()
            before = replace(books)
            results = self._steps(group, books)
            if hits:
                operations.count_hits(self._connection, hits)
            if books != before:
                save_books(self._connection, books)
            failpoint("mid-commit")
            self._connection.execute("COMMIT")
            self._lost = None
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._books = None
            failure = store_error(error, self._path)
            failure.__cause__ = error
            results = [(waiting, None, failure) for _, waiting in group]
            # Nobody waits for these, so they are tried again with the next commit.
            self._unfinished = [item for item in group if isinstance(item[0], Finish)]
            self._lost = failure if self._unfinished else None
            with self._hits_lock:
                for name, number in hits.items():
                    self._hits[name] = self._hits.get(name, 0) + number
        self._give_out(results)

    def _current_books(self) -> Books:
        """The books, read anew when another process has written since."""
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        if self._books is None or version != self._version:
            self._books, self._version = load_books(self._connection), version
        return self._books

    def _steps(self, group: Sequence[_Item], books: Books) -> list[_Result]:
        """Runs the steps; operations are barriers, between them equal steps of all calls are run together."""
        results: list[_Result] = []
        start = 0
        for end in range(len(group) + 1):
            if end < len(group) and isinstance(group[end][0], Send | Receive | Finish):
                continue
            plain = group[start:end]
            for kind in (Receive, Finish, Send):
                results += self._together(kind, [item for item in plain if isinstance(item[0], kind)], books)
            if end < len(group):
                operation, waiting = group[end]
                results.append(self._alone(operation, waiting, books))  # pyright: ignore[reportArgumentType]
            start = end + 1
        return results

    def _together(self, kind: type[Send] | type[Receive] | type[Finish], items: Sequence[_Item], books: Books) -> list[_Result]:
        if not items:
            return []
        steps: list[Any] = [step for step, _ in items]  # all of one kind
        values: Sequence[Any] = [None] * len(steps)
        if kind is Send and (full := self._disk_is_full()):
            return [(waiting, None, full) for _, waiting in items]
        saved = replace(books)
        self._connection.execute("SAVEPOINT together")
        try:
            if kind is Send:
                values = send_all(self._connection, books, steps, self._token)
            elif kind is Receive:
                receive_all(self._connection, steps)
            else:
                finish_all(self._connection, books, steps, self._token)
        except (NotPlain, sqlite3.IntegrityError, StoreError):
            self._connection.execute("ROLLBACK TO together")
            restore(books, saved)
            self._connection.execute("RELEASE together")
            return [self._alone(self._operation(step), waiting, books) for step, (_, waiting) in zip(steps, items, strict=True)]
        self._connection.execute("RELEASE together")
        return [(waiting, value, None) for (_, waiting), value in zip(items, values, strict=True)]

    def _operation(self, step: Send | Receive | Finish) -> Operation[Any]:
        match step:
            case Send(intent, budget):
                return lambda db, books: operations.send(db, books, intent, self._token, budget)
            case Receive(sent, raw, status, request_id):
                return lambda db, books: operations.receive(db, sent, raw, status, request_id)
            case Finish():
                return lambda db, books: operations.finish(db, books, step.sent, self._token, step.reading)

    def _alone(self, operation: Operation[Any], waiting: _Waiting, books: Books) -> _Result:
        saved = replace(books)
        self._connection.execute("SAVEPOINT alone")
        try:
            result = waiting, operation(self._connection, books), None
        except Exception as error:
            if isinstance(error, sqlite3.OperationalError):
                raise  # disk and lock errors concern the whole group
            self._connection.execute("ROLLBACK TO alone")
            restore(books, saved)
            result = waiting, None, error
            if waiting is None:
                self._lost = error if isinstance(error, StoreError) else StoreError(f"ledger {str(self._path)!r}: {error}; run again")
        self._connection.execute("RELEASE alone")
        return result

    def _disk_is_full(self) -> StorageFull | None:
        free = shutil.disk_usage(self._path.parent).free
        if free >= self._headroom:
            return None
        return StorageFull(
            f"{free // 2**20} MiB are free beside ledger {str(self._path)!r}, {self._headroom // 2**20} MiB are kept for answers; "
            f"nothing was sent. Free some space and run again"
        )

    @staticmethod
    def _give_out(results: Sequence[_Result]) -> None:
        _deliver([result for result in results if isinstance(result[0], Future)])
        # One wake-up of a loop serves all of its tasks in this group.
        waiting: dict[asyncio.AbstractEventLoop, list[_Result]] = {}
        for result in results:
            if isinstance(result[0], asyncio.Future):
                waiting.setdefault(result[0].get_loop(), []).append(result)
        for loop, group_results in waiting.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_deliver, group_results)


def _nothing(db: sqlite3.Connection, books: Books) -> None:
    """An operation to wait for."""


def _deliver(results: Sequence[_Result]) -> None:
    for waiting, value, error in results:
        if waiting is None or waiting.done():  # its task was cancelled meanwhile
            continue
        if error is None:
            waiting.set_result(value)
        else:
            waiting.set_exception(error)
