"""Disks that fail, clocks that jump, requests that can't be answered: nothing is spent unseen, and the rest goes on."""

import asyncio
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.oracle_invariants import Charged, Price, broken_invariants
from oracle_cases import Point, client, role, task

from castalia.errors import AnswerUnusable, BudgetReached, OracleRefused, RequestRejected, StoreError
from castalia.oracle import OracleClient, open_ledger
from castalia.oracle.scripted import FAULTS, Act, Server, scripted_server

CHILD = Path(__file__).with_name("crash_child.py")


def charged(server: Server) -> list[Charged]:
    return [Charged(f"req-{item.number}", item.body, item.tokens) for item in server.bill]


def set_writable(oracle: OracleClient, writable: bool) -> None:
    """Lets every write to the ledger's file fail, or work again."""
    oracle.ledger._writing()._connection.execute(f"PRAGMA query_only = {'OFF' if writable else 'ON'}")


def test_a_ledger_that_can_not_be_written_stops_before_anything_is_sent(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: Act()) as server, client(tmp_path, role(server.openai)) as oracle:
            set_writable(oracle, False)
            with pytest.raises(StoreError, match="writable"):
                await oracle.ask("writer", "S", "U", Point, task=task("s"))
            assert server.count == 0
            set_writable(oracle, True)

    asyncio.run(run())


def test_an_input_output_error_of_the_disk_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    """The child may write no file beyond 200 KB: the kernel refuses, as a failing disk does, in the middle of the run."""

    async def run() -> None:
        async with scripted_server(lambda number, _: Act(text=json.dumps({"x": number}), usage=(10 + number, 5))) as server:
            command = [sys.executable, str(CHILD), str(tmp_path), server.openai, "0", "400"]
            process = await asyncio.to_thread(
                subprocess.run,
                command,
                capture_output=True,
                text=True,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)),
            )
            assert process.returncode == 1
            assert "ledger" in process.stderr.splitlines()[-1]
            assert 0 < server.count < 400
            told = {key: raw.encode() for key, raw in map(json.loads, process.stdout.splitlines())}
            async with client(tmp_path, role(server.openai), budget_usd=5.0, concurrency=4) as oracle:
                asks = (oracle.ask("writer", "You extract.", f"Extract {n}.", Point, task=task(str(n))) for n in range(400))
                told |= {reply.key: reply.raw for reply in await asyncio.gather(*asks)}
            assert len(told) == 400
            assert broken_invariants(tmp_path / "ledger.db", charged(server), told, price=Price(1000, 2000)) == []

    asyncio.run(run())


@pytest.mark.parametrize("jump", [-1e6, 1e6])
def test_a_clock_that_jumps_changes_neither_order_nor_accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    async def run() -> None:
        async with (
            scripted_server(lambda number, _: Act(status=429, retry_after="0.05") if number == 5 else Act(usage=(10, 5))) as server,
            client(tmp_path, role(server.openai), budget_usd=1.0) as oracle,
        ):
            true_time, replies = time.time, {}
            for number in range(10):
                if number == 4:
                    monkeypatch.setattr(time, "time", lambda: true_time() + jump)
                reply = await oracle.ask("writer", "S", f"U{number}", Point, task=task(str(number)))
                replies[reply.key] = reply.raw
            monkeypatch.undo()
        assert broken_invariants(tmp_path / "ledger.db", charged(server), replies, price=Price(1000, 2000), budget=10**9) == []

    asyncio.run(run())


def test_a_question_too_long_for_the_model_is_a_typed_failure_and_the_run_goes_on(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            scripted_server(lambda _, user: FAULTS["context"] if "long" in user else Act()) as server,
            client(tmp_path, role(server.openai), budget_usd=1.0) as oracle,
        ):
            asks = (oracle.ask("writer", "S", user, Point, task=task(user)) for user in ("long one", "a", "b", "long two"))
            results = await asyncio.gather(*asks, return_exceptions=True)
            assert [type(result).__name__ for result in results] == ["RequestRejected", "Reply", "Reply", "RequestRejected"]
            error = results[0]
            assert isinstance(error, RequestRejected)
            assert isinstance(error, AnswerUnusable)
            assert "'long one'" in str(error)
            assert oracle.ledger.call(error.calls[0]).state == "failed"
            assert oracle.ledger.money().in_doubt == oracle.ledger.money().in_flight == 0
            assert server.count == 4

    asyncio.run(run())


def test_offline_a_request_that_was_rejected_is_rejected_again_and_one_that_failed_is_not(tmp_path: Path) -> None:
    async def run() -> None:
        def script(_: int, user: str) -> Act:
            return FAULTS["context" if user == "long" else "400"] if user != "fine" else Act()

        async with scripted_server(script) as server:
            for offline in (False, True):
                async with client(tmp_path, role(server.openai), offline=offline) as oracle:
                    asks = (oracle.ask("writer", "S", user, Point, task=task(user)) for user in ("fine", "long", "wrong"))
                    results = await asyncio.gather(*asks, return_exceptions=True)
                    expected = ["Reply", "RequestRejected", "OracleError" if offline else "OracleRefused"]
                    assert [type(result).__name__ for result in results] == expected
                    error = results[1]
                    assert isinstance(error, RequestRejected)
                    if not offline:
                        first = (str(error), error.calls)
                    assert (str(error), error.calls) == first
                    assert "maximum context length is 8 tokens" in (oracle.ledger.call(error.calls[0]).failure or "")
            assert server.count == 3

    asyncio.run(run())


def test_a_repair_that_is_too_long_keeps_the_answer_it_was_to_repair(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            scripted_server(lambda number, _: FAULTS["context"] if number else Act(text="{}")) as server,
            client(tmp_path, role(server.openai)) as oracle,
        ):
            asks = (oracle.ask("writer", "S", "U", Point, task=task("s")) for _ in range(2))
            for error in await asyncio.gather(*asks, return_exceptions=True):
                assert isinstance(error, RequestRejected)
                assert [oracle.ledger.call(key).state for key in error.calls] == ["done", "failed"]

    asyncio.run(run())


def test_a_wrong_key_costs_one_call_and_stops_those_that_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WRONG_KEY", "sk-wrong-0123456789")

    async def run() -> None:
        async with (
            scripted_server(lambda *_: FAULTS["401"]) as server,
            client(tmp_path, role(server.openai, api_key_env="WRONG_KEY")) as oracle,
        ):
            started = time.monotonic()
            asks = (oracle.ask("writer", "S", f"U{number}", Point, task=task(str(number))) for number in range(1000))
            results = await asyncio.gather(*asks, return_exceptions=True)
            assert {type(result) for result in results} == {OracleRefused}
            assert "WRONG_KEY" in str(results[-1])
            assert server.count == 1
            assert time.monotonic() - started < 10

    asyncio.run(run())


def test_a_server_without_a_schema_mode_is_asked_by_prompt_after_one_refusal(tmp_path: Path) -> None:
    async def run() -> None:
        def script(number: int, _: str) -> Act:
            return Act(status=400, message="response_format json_schema is not supported by this model") if number == 0 else Act()

        async with scripted_server(script) as server, client(tmp_path, role(server.openai)) as oracle:
            asks = (oracle.ask("writer", "S", f"U{number}", Point, task=task(str(number))) for number in range(20))
            assert [reply.value.x for reply in await asyncio.gather(*asks)] == [1] * 20
            assert server.count == 21
            assert ["response_format" in body for body in server.requests] == [True] + [False] * 20

    asyncio.run(run())


def test_ends_of_calls_that_could_not_be_written_are_written_with_the_next_commit(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: Act()) as server:
            async with client(tmp_path, role(server.openai)) as oracle:
                reply = await oracle.ask("writer", "S", "U", Point, task=task("s"))
                set_writable(oracle, False)
                with pytest.raises(StoreError):
                    await oracle.ask("writer", "S", "V", Point, task=task("t"))
                set_writable(oracle, True)
                again = await oracle.ask("writer", "S", "V", Point, task=task("t"))
            told = {reply.key: reply.raw, again.key: again.raw}
            assert broken_invariants(tmp_path / "ledger.db", charged(server), told) == []
            with open_ledger(tmp_path / "ledger.db", readonly=True) as ledger:
                assert ledger.counts() == {"done": 2}

    asyncio.run(run())


def test_a_reached_budget_names_every_part_of_the_money_and_small_budgets_too(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda number, _: Act(fault="reset") if number == 0 else Act()) as server:
            async with client(tmp_path, role(server.openai), budget_usd=1.0) as oracle:
                await oracle.ask("writer", "S", "U", Point, task=task("s"))
                [doubt] = oracle.ledger.in_doubt()
                oracle.ledger.settle(doubt.key, billed=True)
            async with client(tmp_path, role(server.openai), budget_usd=0.0021) as oracle:
                with pytest.raises(BudgetReached) as stopped:
                    await oracle.ask("writer", "S", "V", Point, task=task("t"))
        told = str(stopped.value)
        for words in ("the budget of $0.0021 is reached", "$0.00002 paid", "for answers that were billed and lost", "may cost up to $0.00"):
            assert words in told

    asyncio.run(run())
