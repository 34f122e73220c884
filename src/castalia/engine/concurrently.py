"""Several asks at once inside one stage, answers in the order of the questions."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def concurrently(work: Iterable[Awaitable[T]]) -> list[T]:
    """Awaits all of `work` and gives the results in order. Where some fail, the first failure is raised only after the
    others ended: a call that is already paid for is let finish, so that its answer reaches the ledger."""
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
