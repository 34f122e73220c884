"""Asks the ledger for answers: all who ask in one turn of the event loop share one question, because the questions cost, not the rows."""

import asyncio

from castalia.errors import StoreError
from castalia.oracle.ledger.ledger import Ledger
from castalia.oracle.ledger.rows import Done

MOST_AT_ONCE = 256
"""Answers held in memory together."""


class Lookups:
    """Questions of one client."""

    def __init__(self, ledger: Ledger):
        self._ledger = ledger
        self._waiting: list[tuple[str, asyncio.Future[Done | None]]] = []

    async def find(self, key: str) -> Done | None:
        """The committed answer of a done call. Raises StoreError when the ledger can't be read."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Done | None] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._ask, loop)
        self._waiting.append((key, future))
        return await future

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        asked, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
        if self._waiting:
            loop.call_soon(self._ask, loop)
        waiting = [(key, future) for key, future in asked if not future.done()]  # the others were cancelled
        try:
            found = self._ledger.lookup_all([key for key, _ in waiting])
        except StoreError as error:
            for _, future in waiting:
                future.set_exception(error)
            return
        for key, future in waiting:
            future.set_result(found.get(key))
