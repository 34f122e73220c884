"""Several asks at once inside one stage, answers in the order of the questions."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def concurrently(work: Iterable[Awaitable[T]], progress: Callable[[int], None] | None = None) -> list[T]:
    """Awaits all of `work` and gives the results in order; `progress` hears how many ended.

    Where some fail, the first failure is raised only after the others ended: a call that is already paid for is let finish, so
    that its answer reaches the ledger.
    """
    ended = 0

    async def counted(one: Awaitable[T]) -> T:
        nonlocal ended
        result = await one
        ended += 1
        if progress:
            progress(ended)
        return result

    outcomes = await asyncio.gather(*(counted(one) for one in work), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
