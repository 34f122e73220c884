"""Work on items as they come, several at a time, results in the order of the items."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 64
"""Items held at most; most of them wait for the licence files of their host."""


async def side_by_side(items: AsyncIterator[T], work: Callable[[T], Coroutine[Any, Any, R]], *, at_once: int = AT_ONCE) -> AsyncIterator[R]:
    """What `work` makes of each item. Items are taken while others are worked on; the first failure ends all."""
    running: deque[asyncio.Task[R]] = deque()
    coming: asyncio.Task[tuple[T, ...]] | None = None
    ended = False
    try:
        while running or not ended:
            if coming is None and not ended and len(running) < at_once:
                coming = asyncio.create_task(_take(items))
            awaited: list[asyncio.Task[Any]] = [*([coming] if coming else []), *([running[0]] if running else [])]
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if coming is not None and coming.done():
                taken = coming.result()
                running.extend(asyncio.create_task(work(item)) for item in taken)
                ended, coming = not taken, None
            while running and running[0].done():
                yield running.popleft().result()
    finally:
        left: list[asyncio.Task[Any]] = [*running, *([coming] if coming else [])]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _take(items: AsyncIterator[T]) -> tuple[T, ...]:
    """The next item; none at the end."""
    async for item in items:
        return (item,)
    return ()
