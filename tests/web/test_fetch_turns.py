"""Politeness that survives a crash, and one scheduler over many hosts."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from castalia.web.archive import Fetched
from castalia.web.fetch import failed
from castalia.web.frontier import AT_ONCE, Frontier, crawl
from castalia.web.politeness import Turns


async def take(turns: Turns, host: str) -> float:
    """When the turn came, in seconds."""
    async with turns.turn(host):
        return time.monotonic()


def test_a_host_is_left_alone_after_a_restart_as_long_as_before(tmp_path: Path):
    async def run() -> float:
        first = await take(Turns(tmp_path, rate=2), "h")
        # not closed: as after a kill
        return await take(Turns(tmp_path, rate=2), "h") - first

    assert asyncio.run(run()) > 0.4


def test_hosts_do_not_wait_for_each_other(tmp_path: Path):
    async def run() -> None:
        turns = Turns(tmp_path, rate=0.001)  # a second turn of one host would come after a quarter of an hour
        async with asyncio.timeout(60):
            for number in range(20):
                await take(turns, f"h{number}")

    asyncio.run(run())


def test_the_slower_of_rate_and_crawl_delay_counts(tmp_path: Path):
    async def run() -> tuple[float, float, float]:
        turns = Turns(tmp_path, rate=100)
        first = await take(turns, "h")
        turns.note_robots("h", 0.4, "rules")
        await take(turns, "other")
        slow, quick = await asyncio.gather(take(turns, "h"), take(turns, "other"))
        return first, slow, quick

    first, slow, quick = asyncio.run(run())
    assert slow - first > 0.35
    assert quick < slow


def test_a_host_that_says_when_to_come_back_gets_its_pause_but_no_absurd_one(tmp_path: Path):
    async def run() -> tuple[float, float]:
        turns = Turns(tmp_path, rate=100)
        turns.pause("h", 100)
        turns.pause("absurd", 1e12)
        return turns.paused_for("h"), turns.paused_for("absurd")

    one, absurd = asyncio.run(run())
    assert 60 < one <= 100
    assert absurd <= 24 * 3600


def test_a_host_that_fails_five_times_in_a_row_is_left_alone(tmp_path: Path):
    async def run() -> list[float]:
        turns = Turns(tmp_path, rate=100)
        for failed_ in (True, True, True, False, True, True, True, True):
            turns.note("h", failed=failed_)
        before = turns.paused_for("h")
        turns.note("h", failed=True)
        return [before, turns.paused_for("h")]

    before, after = asyncio.run(run())
    assert before == 0
    assert after > 200


def test_how_hosts_were_treated_is_summed_over_runs(tmp_path: Path):
    async def run() -> Turns:
        for _ in range(2):
            turns = Turns(tmp_path, rate=100)
            await take(turns, "h")
            turns.note("h", body_bytes=10)
            turns.note_robots("h", 2.0, "rules")
            turns.close()
        return Turns(tmp_path, rate=100)

    (summary,) = asyncio.run(run()).summary()
    assert (summary.host, summary.requests, summary.bytes, summary.crawl_delay, summary.robots) == ("h", 2, 20, 2.0, "rules")


def test_a_queue_is_kept_by_job_and_holds_a_url_once(tmp_path: Path):
    queue = Frontier(tmp_path, "one")
    queue.add(["http://h/b", "http://h/a", "http://h/a#x", "mailto:x", "http://g/"])
    queue.remove("http://g/")
    assert len(Frontier(tmp_path, "other")) == 0
    again = Frontier(tmp_path, "one")
    assert (len(again), again.hosts(), again.first("h")) == (2, ["h"], "http://h/a")


@pytest.mark.parametrize("hosts", [1, 30])
def test_every_url_is_fetched_once_and_a_host_never_twice_at_a_time(tmp_path: Path, hosts: int):
    urls = [f"http://h{number % hosts}/{number}" for number in range(120)]
    busy: Counter[str] = Counter()
    most: list[int] = []

    async def fetch(url: str) -> Fetched:
        host = url.split("/")[2]
        busy[host] += 1
        most.append(max(busy.values()))
        await asyncio.sleep(0.001)
        busy[host] -= 1
        return failed(url, url, "", "")

    async def run() -> list[str]:
        queue = Frontier(tmp_path, "job")
        queue.add(urls)
        return [fetched.url async for fetched in crawl(queue, Turns(tmp_path, rate=1000), fetch)]

    assert sorted(asyncio.run(run())) == sorted(urls)
    assert max(most) == 1


def test_fetches_under_way_are_few_however_long_the_queue(tmp_path: Path):
    running = 0
    most = 0

    async def fetch(url: str) -> Fetched:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return failed(url, url, "", "")

    async def run() -> int:
        queue = Frontier(tmp_path, "job")
        queue.add(f"http://h{number}.example/" for number in range(1000))
        return len([fetched async for fetched in crawl(queue, Turns(tmp_path, rate=1000), fetch)])

    assert asyncio.run(run()) == 1000
    assert most <= AT_ONCE


def test_a_crawl_that_was_left_goes_on_where_it_was(tmp_path: Path):
    asked: list[str] = []

    async def fetch(url: str) -> Fetched:
        asked.append(url)
        return failed(url, url, "", "")

    async def run(stop_after: int) -> None:
        queue = Frontier(tmp_path, "job")
        if not asked:
            queue.add(f"http://h/{number}" for number in range(20))
        seen = 0
        async for _ in crawl(queue, Turns(tmp_path, rate=1000), fetch):
            seen += 1
            if seen == stop_after:
                break

    asyncio.run(run(7))
    asyncio.run(run(100))
    assert set(asked) == {f"http://h/{number}" for number in range(20)}
    assert len(asked) <= 21  # one may have been under way
