"""The ledger tells the truth after SIGKILL at every step, and two processes share the work."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from oracle_cases import Point, client, role, task

from castalia.oracle import Ledger, open_ledger
from castalia.oracle.scripted import Act, Server, scripted_server

CHILD = Path(__file__).with_name("crash_child.py")
CALLS = 6


async def child(folder: Path, server: Server, failpoint: str = "", first: int = 0, last: int = CALLS) -> tuple[int, dict[str, bytes]]:
    """Exit code and acknowledged answers of one child process."""
    environment = {**os.environ, "CASTALIA_FAILPOINT": failpoint}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), str(folder), server.openai, str(first), str(last), stdout=asyncio.subprocess.PIPE, env=environment
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, {key: raw.encode() for key, raw in map(json.loads, output.decode().splitlines())}


async def restart(folder: Path, server: Server, calls: int = CALLS) -> dict[str, bytes]:
    """The same work again, in this process."""
    async with client(folder, role(server.openai), budget_usd=5.0, concurrency=4) as oracle:
        asks = (oracle.ask("writer", "You extract.", f"Extract {n}.", Point, task=task(str(n))) for n in range(calls))
        return {reply.key: reply.raw for reply in await asyncio.gather(*asks)}


def keys_and_bodies(ledger: Ledger) -> dict[str, bytes]:
    return {key: done.raw for (key,) in ledger._read("SELECT key FROM calls") if (done := ledger.lookup(key))}


@pytest.mark.parametrize(
    "point", ["before-intent:3", "after-intent:2", "after-headers:2", "mid-body:3", "before-commit:3", "mid-commit:3", "after-commit:3"]
)
def test_a_kill_loses_no_answer_and_hides_no_possible_duplicate(tmp_path: Path, point: str) -> None:
    async def run() -> None:
        async with scripted_server(lambda number, _: Act(text=json.dumps({"x": number}), usage=(10 + number, 5))) as server:
            code, acknowledged = await child(tmp_path, server, point)
            assert code == -signal.SIGKILL
            killed_at = len(server.requests)
            replies = await restart(tmp_path, server)  # I8: converges without a person
            assert len(replies) == CALLS
            with open_ledger(tmp_path / "ledger.db", readonly=True) as ledger:
                done = keys_and_bodies(ledger)
                doubts = ledger.in_doubt()
                verification = ledger.verify()
                spent = ledger.money().spent
                twice = ledger._read("SELECT key FROM attempts WHERE outcome = 'answered' GROUP BY key HAVING count(*) > 1")
                late = ledger._read(
                    "SELECT key FROM attempts a JOIN calls c USING (key) WHERE a.number > c.attempt OR a.sent_at > c.done_at"
                )
            assert acknowledged.items() <= replies.items()  # I1: byte for byte
            assert done == replies
            billed = Counter(item.body for item in server.bill)
            unpaid_for = sum((billed - Counter(done.values())).values())
            assert unpaid_for <= len(doubts) <= 4  # I2: listed, and never more than calls in flight
            assert verification.problems == ()  # I7, and the accounts
            assert twice == []  # I3
            assert late == []  # I4
            paid = [item.tokens for item in server.bill if item.body in done.values()]
            assert spent == pytest.approx(sum(tokens_in * 1.0 + tokens_out * 2.0 for tokens_in, tokens_out in paid) / 1e6)  # I5
            assert len(server.requests) - killed_at <= CALLS

    asyncio.run(run())


def test_an_answer_that_was_committed_before_the_kill_is_never_asked_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: Act()) as server:
            await child(tmp_path, server, "after-commit:1", last=1)
            assert len(server.requests) == 1
            assert len(await restart(tmp_path, server, calls=1)) == len(server.requests) == 1
            with open_ledger(tmp_path / "ledger.db", readonly=True) as ledger:
                assert ledger.in_doubt() == []

    asyncio.run(run())


def test_two_processes_on_one_ledger_make_exactly_the_unique_calls(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda number, _: Act(text=json.dumps({"x": number}), delay=0.02)) as server:
            results = await asyncio.gather(*(child(tmp_path, server, first=first, last=first + 40) for first in (0, 20)))
            assert [code for code, _ in results] == [0, 0]
            assert len(server.requests) == 60
            shared = results[0][1].keys() & results[1][1].keys()
            assert len(shared) == 20
            assert all(results[0][1][key] == results[1][1][key] for key in shared)
            with open_ledger(tmp_path / "ledger.db", readonly=True) as ledger:
                assert ledger.verify().problems == ()
                assert ledger.counts() == {"done": 60}

    asyncio.run(run())


def test_a_waiting_process_takes_over_when_the_other_is_killed(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda number, _: Act(delay=1.0 if number == 0 else 0.0)) as server:
            environment = {**os.environ, "CASTALIA_FAILPOINT": ""}
            first = await asyncio.create_subprocess_exec(
                sys.executable, str(CHILD), str(tmp_path), server.openai, "0", "1", stdout=asyncio.subprocess.PIPE, env=environment
            )
            while not server.flying:
                await asyncio.sleep(0.01)
            second = asyncio.create_task(child(tmp_path, server, last=1))
            await asyncio.sleep(0.6)
            assert len(server.requests) == 1
            first.kill()
            await first.communicate()
            code, replies = await second
            assert (code, len(replies), len(server.requests)) == (0, 1, 2)
            with open_ledger(tmp_path / "ledger.db", readonly=True) as ledger:
                assert [doubt.outcome for doubt in ledger.in_doubt()] == ["in_doubt"]

    asyncio.run(run())
