"""The client keeps to what providers allow, by configuration and by their headers, one model at a time."""

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle_cases import Point, client, role, task

from castalia.oracle import open_oracle
from castalia.oracle.limits import Limiter
from castalia.oracle.quotas import Rate, Told, retry_after, told_quotas
from castalia.oracle.scripted import Act, RateLimit, scripted_server


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (
            {"x-ratelimit-limit-requests": "600", "x-ratelimit-remaining-requests": "599", "x-ratelimit-reset-requests": "6m0s"},
            [Told("requests", 600, 599)],
        ),
        ({"x-ratelimit-limit-tokens": "30000", "x-ratelimit-remaining-tokens": "0"}, [Told("tokens", 30000, 0)]),
        (
            {"anthropic-ratelimit-tokens-limit": "8000", "anthropic-ratelimit-tokens-remaining": "7000"},
            [Told("tokens", 8000, 7000)],
        ),
        (  # the sum looks nearly free, and a quarter of the output is left
            {
                "anthropic-ratelimit-tokens-limit": "96000",
                "anthropic-ratelimit-tokens-remaining": "84000",
                "anthropic-ratelimit-input-tokens-limit": "80000",
                "anthropic-ratelimit-input-tokens-remaining": "80000",
                "anthropic-ratelimit-output-tokens-limit": "16000",
                "anthropic-ratelimit-output-tokens-remaining": "4000",
            },
            [Told("tokens", 96000, 24000)],
        ),
        (
            {"anthropic-ratelimit-output-tokens-limit": "16000", "anthropic-ratelimit-output-tokens-remaining": "0"},
            [Told("tokens", 16000, 0)],
        ),
        ({"x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-requests": "0"}, []),
        ({"x-ratelimit-limit-requests": "nan", "x-ratelimit-remaining-requests": "1"}, []),
        ({"x-ratelimit-limit-requests": "1e400", "x-ratelimit-remaining-requests": "1"}, []),
        ({"x-ratelimit-limit-requests": "-5", "x-ratelimit-remaining-requests": "1"}, []),
        ({"x-ratelimit-limit-requests": "10"}, []),
        ({"x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "12"}, [Told("requests", 10, 10)]),
    ],
)
def test_quotas_are_read_from_the_headers_of_both_vendors_and_nonsense_is_ignored(headers: dict[str, str], told: list[Told]) -> None:
    assert told_quotas(headers) == told


def test_a_date_to_wait_for_is_compared_with_the_servers_own_clock() -> None:
    headers = {"Retry-After": "Thu, 01 Jan 2015 00:00:07 GMT", "Date": "Thu, 01 Jan 2015 00:00:00 GMT"}
    assert retry_after(headers) == 7.0


def test_a_date_that_is_over_says_nothing_since_one_of_the_clocks_is_wrong() -> None:
    assert retry_after({"Retry-After": "Thu, 01 Jan 2015 00:00:07 GMT"}) is None


@given(
    limit=st.floats(1, 1e6),
    levels=st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 50)), min_size=1, max_size=8),
    seconds=st.floats(0, 60),
)
def test_a_bucket_never_holds_more_than_the_server_told(limit: float, levels: list[tuple[float, float]], seconds: float) -> None:
    rate, now = Rate(None), time.monotonic()
    for remaining, unseen in levels:
        told = Told("requests", limit, min(limit, remaining))
        rate.learn(told, now, unseen)
        assert told.remaining - unseen - 1e-6 <= rate._level <= told.remaining + 1e-6
        now += seconds
        rate.wait(now)
        assert rate._level <= limit + 1e-6


def test_a_limiter_that_was_told_that_little_is_left_starts_no_more_than_that() -> None:
    async def run() -> None:
        limiter = Limiter(100, None, None)
        assert limiter.try_start(1)
        limiter.accepted()
        limiter.end()
        limiter.learn([Told("requests", 60, 5)])
        started = 0
        while limiter.try_start(1):
            started += 1
        assert started == 5
        assert limiter.reason == "requests per minute"

    asyncio.run(run())


def test_a_server_that_tells_its_limit_is_asked_at_its_pace_with_hardly_a_refusal(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            scripted_server(lambda *_: Act(), limit=RateLimit(requests_per_minute=1800)) as server,
            client(tmp_path, role(server.openai), concurrency=64) as oracle,
        ):
            asks = (oracle.ask("writer", "S", f"U{number}", Point, task=task(str(number))) for number in range(60))
            started = time.monotonic()
            await asyncio.gather(*asks)
            assert server.charged == 60
            assert server.count - server.charged <= 12
            # Thirty a second after a burst of thirty.
            assert 0.8 <= time.monotonic() - started < 8

    asyncio.run(run())


def test_refusals_of_one_model_never_slow_another(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: Act(status=429, retry_after="30")) as busy, scripted_server(lambda *_: Act()) as free:
            roles = {"writer": role(busy.openai, model="busy"), "judge": role(free.openai, model="free")}
            async with open_oracle(roles, tmp_path / "l.db", budget_usd=None, concurrency=8) as oracle:
                stuck = [asyncio.create_task(oracle.ask("writer", "S", f"U{n}", Point, task=task(str(n)))) for n in range(8)]
                while busy.count < 4:
                    await asyncio.sleep(0.01)
                asks = (oracle.ask("judge", "S", f"U{number}", Point, task=task(str(number))) for number in range(40))
                started = time.monotonic()
                await asyncio.gather(*asks)
                assert time.monotonic() - started < 5
                for task_ in stuck:
                    task_.cancel()
                await asyncio.gather(*stuck, return_exceptions=True)

    asyncio.run(run())


def test_after_a_cut_the_window_grows_by_one_call_per_round_of_answers_and_never_beyond_its_bound() -> None:
    async def run() -> None:
        limiter = Limiter(100, None, None)
        assert limiter.try_start(1)
        limiter.accepted()
        started = time.monotonic()
        for _ in range(99):
            assert limiter.try_start(1)
        for _ in range(30):
            limiter.overloaded(started, None)
        for _ in range(100):
            limiter.end()
        for window in (80, 81, 82):
            room = 0
            while limiter.try_start(1):
                room += 1
            assert room == window
            for _ in range(room + 1):
                limiter.accepted()
            for _ in range(room):
                limiter.end()
        for _ in range(10_000):
            limiter.accepted()
        room = 0
        while limiter.try_start(1):
            room += 1
        assert room == 100

    asyncio.run(run())


def test_one_refusal_in_twenty_is_noise_that_cuts_nothing() -> None:
    async def run() -> None:
        limiter = Limiter(64, None, None)
        for number in range(4000):
            assert limiter.try_start(1)
            if number % 20 == 19:
                limiter.overloaded(time.monotonic(), 1.0)
            else:
                limiter.accepted()
            limiter.end()
        room = 0
        while limiter.try_start(1):
            room += 1
        assert room == 64

    asyncio.run(run())
