"""The ledger tells the truth after SIGKILL at every step, and processes share the work."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from benchmarks.oracle_invariants import Charged, Price, answers_of, broken_invariants
from oracle_cases import Point, client, role, task

from castalia.oracle import open_ledger
from castalia.oracle.scripted import Act, Server, scripted_server

CHILD = Path(__file__).with_name("crash_child.py")
CALLS = 6
IN_FLIGHT = 4
PRICE = Price(1000, 2000)
BUDGET = 5 * 10**9

FIRST_CALL = ("before-intent", "after-intent", "mid-send", "after-headers", "mid-body", "before-commit", "after-commit")
"""Steps of one call, in order. `mid-commit` happens in every commit: the first takes the ledger, the next hold intents and answers. Those that
come together share a commit, so no more than five are certain: one before, and two for each round of calls in flight."""
KILLS = [*(f"{step}:1" for step in FIRST_CALL), *(f"{step}:4" for step in FIRST_CALL), *(f"mid-commit:{commit}" for commit in range(1, 6))]


class Nursery:
    """The process that forks the children of these tests."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._born: deque[Future[int]] = deque()
        self._ended: dict[int, Future[int]] = {}
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def bear(self, order: dict[str, object]) -> "Future[int]":
        """Process id of a new child."""
        born: Future[int] = Future()
        self._born.append(born)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        return born

    def end(self, pid: int) -> "Future[int]":
        """Exit code of a child, once it has one."""
        return self._ended[pid]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._thread.join()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "code" in told:
                self._ended[told["pid"]].set_result(told["code"])
            else:
                self._ended[told["pid"]] = Future()
                self._born.popleft().set_result(told["pid"])


@pytest.fixture(scope="module", name="nursery")
def _nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


async def child(
    nursery: Nursery,
    folder: Path,
    server: Server,
    failpoint: str = "",
    first: int = 0,
    last: int = CALLS,
    kill_after: float | None = None,
) -> tuple[int, dict[str, bytes]]:
    """Exit code and acknowledged answers of one child process."""
    output = folder / f"{uuid.uuid4().hex}.jsonl"
    arguments = [str(folder), server.openai, str(first), str(last)]
    seen = server.count
    pid = await asyncio.wrap_future(nursery.bear({"arguments": arguments, "failpoint": failpoint, "output": str(output)}))
    ended = nursery.end(pid)
    if kill_after is not None:
        while server.count == seen and not ended.done():
            await asyncio.sleep(0.005)
        await asyncio.sleep(kill_after)
        if not ended.done():
            os.kill(pid, signal.SIGKILL)
    code = await asyncio.wrap_future(ended)
    # A killed process may leave half a line.
    lines = output.read_text(encoding="utf-8").split("\n")[:-1]
    return code, {key: raw.encode() for key, raw in map(json.loads, lines)}


async def restart(folder: Path, server: Server, calls: int = CALLS, *, offline: bool = False) -> dict[str, bytes]:
    """The same work again, in this process."""
    async with client(folder, role(server.openai), budget_usd=5.0, concurrency=IN_FLIGHT, offline=offline) as oracle:
        asks = (oracle.ask("writer", "You extract.", f"Extract {n}.", Point, task=task(str(n))) for n in range(calls))
        return {reply.key: reply.raw for reply in await asyncio.gather(*asks)}


def charged(server: Server) -> Iterable[Charged]:
    return [Charged(f"req-{item.number}", item.body, item.tokens) for item in server.bill]


def varied(number: int, _: str) -> Act:
    """Another text and another price for every request, so that answers can't be mistaken for each other."""
    return Act(text=json.dumps({"x": number}), usage=(10 + number, 5))


@pytest.mark.parametrize("point", KILLS)
def test_a_kill_loses_no_answer_and_hides_no_possible_duplicate(nursery: Nursery, tmp_path: Path, point: str) -> None:
    async def run() -> None:
        async with scripted_server(varied) as server:
            code, acknowledged = await child(nursery, tmp_path, server, point)
            assert code == -signal.SIGKILL
            replies = await restart(tmp_path, server)
            assert acknowledged.items() <= replies.items()
            assert broken_invariants(tmp_path / "ledger.db", charged(server), replies, price=PRICE, budget=BUDGET) == []
            with open_ledger(tmp_path / "ledger.db", readonly=True) as ledger:
                assert len(ledger.in_doubt()) <= IN_FLIGHT
            assert server.count <= CALLS + IN_FLIGHT
            async with server.refusing():
                assert await restart(tmp_path, server, offline=True) == replies == answers_of(tmp_path / "ledger.db")

    asyncio.run(run())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kills_at_random_moments_of_the_same_work_end_with_every_answer_once(nursery: Nursery, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)

    def script(number: int, user: str) -> Act:
        kind = chance.random()
        if kind < 0.1:
            return Act(status=429, retry_after="0")
        if kind < 0.2:
            return Act(fault="reset")
        return Act(text=json.dumps({"x": number}), usage=(10 + number, 5), delay=chance.random() * 0.02)

    async def run() -> None:
        async with scripted_server(script) as server:
            told: dict[str, bytes] = {}
            for _ in range(3):
                code, acknowledged = await child(nursery, tmp_path, server, last=40, kill_after=chance.random() * 0.2)
                assert code in (-signal.SIGKILL, 0)
                told |= acknowledged
            told |= await restart(tmp_path, server, calls=40)
            assert len(told) == 40
            assert broken_invariants(tmp_path / "ledger.db", charged(server), told, price=PRICE, budget=BUDGET) == []

    asyncio.run(run())


def test_an_answer_that_was_committed_before_the_kill_is_never_asked_again(nursery: Nursery, tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(varied) as server:
            await child(nursery, tmp_path, server, "after-commit:1", last=1)
            assert server.count == 1
            assert len(await restart(tmp_path, server, calls=1)) == server.count == 1
            with open_ledger(tmp_path / "ledger.db", readonly=True) as ledger:
                assert ledger.in_doubt() == []

    asyncio.run(run())


def test_eight_processes_on_one_plan_make_exactly_the_unique_calls(nursery: Nursery, tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda number, _: Act(text=json.dumps({"x": number}), delay=0.02)) as server:
            results = await asyncio.gather(*(child(nursery, tmp_path, server, first=5 * n, last=5 * n + 20) for n in range(8)))
            assert [code for code, _ in results] == [0] * 8
            assert server.count == len({key for _, replies in results for key in replies}) == 55
            told: dict[str, bytes] = {}
            for _, replies in results:
                assert all(told.get(key, raw) == raw for key, raw in replies.items())
                told |= replies
            assert broken_invariants(tmp_path / "ledger.db", charged(server), told) == []
            with open_ledger(tmp_path / "ledger.db", readonly=True) as ledger:
                assert ledger.counts() == {"done": 55}

    asyncio.run(run())


def test_a_waiting_process_takes_over_when_the_other_is_killed(nursery: Nursery, tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda number, _: Act(delay=1.0 if number == 0 else 0.0)) as server:
            first = asyncio.create_task(child(nursery, tmp_path, server, last=1, kill_after=0.9))
            while not server.flying:
                await asyncio.sleep(0.01)
            second = asyncio.create_task(child(nursery, tmp_path, server, last=1))
            await asyncio.sleep(0.6)
            assert server.count == 1
            await first
            code, replies = await second
            assert (code, len(replies), server.count) == (0, 1, 2)
            with open_ledger(tmp_path / "ledger.db", readonly=True) as ledger:
                assert [doubt.outcome for doubt in ledger.in_doubt()] == ["in_doubt"]

    asyncio.run(run())
