import asyncio

import pytest

from castalia.engine.concurrently import concurrently


async def after(ticks: int, value: str, ended: list[str]) -> str:
    for _ in range(ticks):
        await asyncio.sleep(0)
    ended.append(value)
    if value.startswith("bad"):
        raise ValueError(value)
    return value


def test_results_come_in_the_order_of_the_work_and_progress_is_told():
    told: list[int] = []
    assert asyncio.run(concurrently((after(n, str(n), []) for n in (5, 1, 3)), told.append)) == ["5", "1", "3"]
    assert told == [1, 2, 3]


def test_a_failure_is_raised_only_after_everything_that_was_started_has_ended():
    ended: list[str] = []
    work = [(1, "bad first"), (9, "slow"), (3, "bad second")]
    with pytest.raises(ValueError, match="bad first"):
        asyncio.run(concurrently(after(ticks, value, ended) for ticks, value in work))
    assert sorted(ended) == ["bad first", "bad second", "slow"]
