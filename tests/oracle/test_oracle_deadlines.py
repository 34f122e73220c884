"""What ends a request that takes too long, and what doesn't."""

import asyncio
import contextlib
import time

import pytest

from castalia.oracle.deadlines import Deadlines


def test_a_late_request_ends_as_a_timeout_and_one_in_time_does_not() -> None:
    async def run() -> None:
        deadlines = Deadlines(0.1)

        async def request(seconds: float) -> str:
            with deadlines.watch():
                await asyncio.sleep(seconds)
            return "answered"

        started = time.monotonic()
        ends = await asyncio.gather(*(request(seconds) for seconds in (0.01, 30, 0.02, 30)), return_exceptions=True)
        assert [str(end) for end in ends] == ["answered", "no complete answer within 0.1 s"] * 2
        assert [type(end) for end in ends] == [str, TimeoutError] * 2
        assert time.monotonic() - started < 5
        assert await request(0.01) == "answered"  # it goes on watching

    asyncio.run(run())


def test_a_cancellation_by_somebody_else_stays_a_cancellation() -> None:
    async def run() -> None:
        deadlines = Deadlines(0.05)

        async def request() -> None:
            with deadlines.watch():
                try:
                    await asyncio.sleep(30)
                except asyncio.CancelledError:
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.sleep(0.2)  # meanwhile it becomes late, too
                    raise

        task = asyncio.create_task(request())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_a_task_may_go_on_after_its_request_was_late() -> None:
    async def run() -> None:
        deadlines = Deadlines(0.05)
        with pytest.raises(TimeoutError), deadlines.watch():
            await asyncio.sleep(30)
        await asyncio.sleep(0.1)  # isn't cancelled a second time

    asyncio.run(run())
