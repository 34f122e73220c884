import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.stages.collect.side_by_side import side_by_side


async def numbers(most: int) -> AsyncIterator[int]:
    for number in range(most):
        await asyncio.sleep(0)
        yield number


async def waiting(number: int) -> int:
    await asyncio.sleep(0.001 * (number * 7 % 5))
    return number * 2


async def gather(items: AsyncIterator[int]) -> list[int]:
    return [item async for item in items]


@settings(max_examples=25, deadline=None)
@given(count=st.integers(0, 40), at_once=st.integers(1, 8))
def test_results_come_in_the_order_of_the_items_and_none_is_lost(count: int, at_once: int):
    assert asyncio.run(gather(side_by_side(numbers(count), waiting, at_once=at_once))) == [2 * number for number in range(count)]


def test_no_more_are_worked_on_at_once_than_allowed_and_as_many_as_that():
    under_way, most = 0, 0

    async def work(number: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.005)
        under_way -= 1
        return number

    asyncio.run(gather(side_by_side(numbers(30), work, at_once=4)))
    assert most == 4


def test_the_first_failure_ends_everything_and_leaves_no_task_behind():
    async def work(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        await asyncio.sleep(0.001 if number < 3 else 60)
        return number

    async def run() -> int:
        with pytest.raises(ValueError, match="three"):
            await gather(side_by_side(numbers(30), work, at_once=8))
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1
