"""Ends what takes too long: one look a second at all requests, because a timer for each costs more than its share of the sending."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

LOOK_SECONDS = 1.0


class Deadlines:
    """Requests of one client, all with the same patience."""

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._started: dict[asyncio.Task[object], float] = {}
        """In the order of their start, so the first is the oldest."""
        self._late: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def watch(self) -> Generator[None]:
        """Around one request of the running task. Raises TimeoutError in place of the cancellation that ended it."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is None:
            raise RuntimeError("a request is made outside a task")
        before = task.cancelling()
        self._started[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(min(LOOK_SECONDS, self._seconds), self._look, loop)
        try:
            yield
        except asyncio.CancelledError:
            # As asyncio.timeout does: a cancellation from elsewhere goes on.
            if task in self._late and task.uncancel() <= before:
                raise TimeoutError(f"no complete answer within {self._seconds:g} s") from None
            raise
        finally:
            self._started.pop(task, None)
            self._late.discard(task)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        for task, started in list(self._started.items()):
            if loop.time() - started < self._seconds:
                break
            del self._started[task]
            self._late.add(task)
            task.cancel()
        self._timer = loop.call_later(min(LOOK_SECONDS, self._seconds), self._look, loop) if self._started else None
