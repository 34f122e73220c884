"""Batches: submitted once whatever happens, taken in as far as they came, at their price."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from batch_cases import Ran, ask_all
from oracle_cases import Point, client, role, task

from castalia.errors import BudgetReached, MissingRecording, OracleError, OracleRefused
from castalia.oracle import RoleConfig, open_ledger
from castalia.oracle.scripted import FAULTS, Act, Server, scripted_server

CHILD = Path(__file__).with_name("batch_child.py")
CALLS = 5
both = pytest.mark.parametrize("provider", ["openai", "anthropic"])


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("castalia.oracle.batching.SETTLE_SECONDS", 0.0)
    monkeypatch.setattr("castalia.oracle.batch_wire.BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr("castalia.oracle.exchange.BACKOFF_SECONDS", 0.001)


def address(server: Server, provider: str) -> str:
    return server.openai if provider == "openai" else server.anthropic


async def child(folder: Path, provider: str, server: Server, failpoint: str) -> int:
    environment = {**os.environ, "CASTALIA_FAILPOINT": failpoint}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), str(folder), provider, address(server, provider), str(CALLS), env=environment
    )
    return await process.wait()


def assert_paid_once(folder: Path, server: Server, ran: Ran, calls: int = CALLS) -> None:
    assert len(ran.replies) == calls
    assert server.charged == calls
    with open_ledger(folder / "ledger.db", readonly=True) as ledger:
        assert ledger.counts() == {"done": calls}
        assert ledger.in_doubt() == []
        assert ledger.verify().problems == ()
        assert ledger.money().spent == pytest.approx(sum(i * 1.0 + o * 2.0 for i, o in (bill.tokens for bill in server.bill)) / 1e6)
        assert all(item.state != "prepared" for item in ledger.submissions())


@both
def test_a_batch_is_submitted_at_the_end_of_one_run_and_taken_in_by_a_later_one(tmp_path: Path, provider: str) -> None:
    async def run() -> None:
        async with scripted_server(lambda number, _: Act(text=json.dumps({"x": number}), usage=(100 + number, 20))) as server:
            server.batches.seconds = 0.6
            first = await ask_all(tmp_path, provider, address(server, provider), CALLS)
            assert {type(result) for result in first.results} == {MissingRecording}
            assert "Run the same command again" in str(first.results[0])
            second = await ask_all(tmp_path, provider, address(server, provider), CALLS)
            assert second.replies == []
            assert "under way" in second.notes[0]
            with open_ledger(tmp_path / "ledger.db", readonly=True) as ledger:
                assert ledger.money().in_flight > 0
                assert ledger.verify().problems == ()
            await asyncio.sleep(0.6)
            third = await ask_all(tmp_path, provider, address(server, provider), CALLS)
            assert len(server.batches.batches) == 1
            assert_paid_once(tmp_path, server, third)

    asyncio.run(run())


@both
@pytest.mark.parametrize(
    "point", ["batch-prepared:1", "batch-uploaded:1", "batch-created:1", "batch-adopted:1", "batch-results:1", "mid-commit:4"]
)
def test_a_kill_at_any_step_of_a_batch_never_submits_it_twice(tmp_path: Path, provider: str, point: str) -> None:
    if provider == "anthropic" and point.startswith("batch-uploaded"):
        pytest.skip("this API has no upload")

    async def run() -> None:
        async with scripted_server(lambda number, _: Act(text=json.dumps({"x": number}), usage=(100 + number, 20))) as server:
            codes = [await child(tmp_path, provider, server, point) for _ in range(2 if "results" in point else 1)]
            assert codes[-1] == -signal.SIGKILL
            for _ in range(3):
                ran = await ask_all(tmp_path, provider, address(server, provider), CALLS)
            assert len(server.batches.batches) == 1
            assert_paid_once(tmp_path, server, ran)

    asyncio.run(run())


@both
def test_a_batch_whose_creation_got_no_answer_is_found_at_the_provider(tmp_path: Path, provider: str) -> None:
    async def run() -> None:
        async with scripted_server() as server:
            server.batches.lose_answers = 1
            first = await ask_all(tmp_path, provider, address(server, provider), CALLS)
            assert "found again" in first.notes[-1]
            assert len(server.batches.batches) == 1
            assert_paid_once(tmp_path, server, await ask_all(tmp_path, provider, address(server, provider), CALLS))

    asyncio.run(run())


def test_a_batch_of_the_same_size_that_is_not_ours_is_given_up_and_ours_is_sent(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server() as server:
            other = tmp_path / "other"
            other.mkdir()
            assert await child(tmp_path, "anthropic", server, "batch-prepared:1") == -signal.SIGKILL
            await ask_all(other, "anthropic", server.anthropic, CALLS, model="theirs")
            ran = await ask_all(tmp_path, "anthropic", server.anthropic, CALLS)
            assert "found again" in ran.notes[0]
            ran = await ask_all(tmp_path, "anthropic", server.anthropic, CALLS)
            assert any("not ours" in note for note in ran.notes)
            ran = await ask_all(tmp_path, "anthropic", server.anthropic, CALLS)
            assert len(ran.replies) == CALLS
            assert len(server.batches.batches) == 2
            assert server.charged == 2 * CALLS

    asyncio.run(run())


@both
def test_what_expired_is_asked_again_and_what_was_refused_is_not_hidden(tmp_path: Path, provider: str) -> None:
    async def run() -> None:
        fates = {"Extract 0.": Act(code="batch_expired"), "Extract 1.": FAULTS["400"], "Extract 2.": FAULTS["500"]}
        async with scripted_server(lambda _, text: fates.get(text, Act())) as server:
            await ask_all(tmp_path, provider, address(server, provider), CALLS)
            second = await ask_all(tmp_path, provider, address(server, provider), CALLS)
            assert len(second.replies) == CALLS - 3
            assert "2 answered, 1 refused, 2 open again" in second.notes[0]
            with open_ledger(tmp_path / "ledger.db", readonly=True) as ledger:
                assert ledger.verify().problems == ()
                assert ledger.money().in_doubt == 0
            fates.clear()
            third = await ask_all(tmp_path, provider, address(server, provider), CALLS)
            assert_paid_once(tmp_path, server, third)

    asyncio.run(run())


@both
def test_a_day_that_ends_early_leaves_its_partial_results(tmp_path: Path, provider: str) -> None:
    async def run() -> None:
        async with scripted_server() as server:
            server.batches.fate = "expired"
            await ask_all(tmp_path, provider, address(server, provider), 4)
            second = await ask_all(tmp_path, provider, address(server, provider), 4)
            assert len(second.replies) == 2
            server.batches.fate = ""
            await ask_all(tmp_path, provider, address(server, provider), 4)
            assert_paid_once(tmp_path, server, await ask_all(tmp_path, provider, address(server, provider), 4), calls=4)

    asyncio.run(run())


def test_a_file_that_the_provider_fails_costs_nothing_and_its_reason_is_told(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server() as server:
            server.batches.fate = "failed"
            await ask_all(tmp_path, "openai", server.openai, CALLS)
            second = await ask_all(tmp_path, "openai", server.openai, CALLS)
            assert "scripted refusal" in second.notes[0]
            with open_ledger(tmp_path / "ledger.db", readonly=True) as ledger:
                assert ledger.money().spent == 0

    asyncio.run(run())


def test_the_budget_holds_for_batches_and_what_does_not_fit_is_an_orderly_stop(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server() as server:
            async with client(tmp_path, role(server.openai), budget_usd=None) as oracle:
                worst = oracle.worst_case("writer", "You extract.", "Extract 0.", Point) or 0.0
            with pytest.raises(BudgetReached, match=r"raise execution\.budget_usd"):
                await ask_all(tmp_path, "openai", server.openai, CALLS, budget=2.5 * worst)
            [batch] = server.batches.batches.values()
            assert len(batch.items) == 2

    asyncio.run(run())


def test_an_error_or_a_person_that_ends_a_run_submits_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server() as server:
            with pytest.raises(ZeroDivisionError):
                async with client(tmp_path, role(server.openai, batch=True), budget_usd=1.0) as oracle:
                    with pytest.raises(MissingRecording):
                        await oracle.ask("writer", "S", "U", Point, task=task("s"))
                    raise ZeroDivisionError
            assert server.batches.batches == {}

    asyncio.run(run())


@both
def test_what_was_paid_online_is_not_asked_by_batch_and_the_other_way_round(tmp_path: Path, provider: str) -> None:
    async def run() -> None:
        async with scripted_server() as server:
            await ask_all(tmp_path, provider, address(server, provider), 2, batch=False)
            await ask_all(tmp_path, provider, address(server, provider), 4)
            [batch] = server.batches.batches.values()
            assert len(batch.items) == 2
            ran = await ask_all(tmp_path, provider, address(server, provider), 4)
            assert len(ran.replies) == 4
            assert len((await ask_all(tmp_path, provider, address(server, provider), 4, batch=False)).replies) == 4
            assert server.charged == 4

    asyncio.run(run())


def test_a_call_that_is_under_way_in_a_batch_is_not_sent_online(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server() as server:
            server.batches.seconds = 60
            await ask_all(tmp_path, "openai", server.openai, 1)
            ran = await ask_all(tmp_path, "openai", server.openai, 1, batch=False)
            assert isinstance(ran.results[0], OracleError)
            assert "under way in a batch" in str(ran.results[0])

    asyncio.run(run())


@both
def test_a_refused_key_submits_nothing_and_leaves_the_calls_open(tmp_path: Path, provider: str) -> None:
    async def run() -> None:
        async with scripted_server() as server:
            server.batches.refuses = 401
            with pytest.raises(OracleRefused, match="HTTP 401"):
                await ask_all(tmp_path, provider, address(server, provider), CALLS)
            with open_ledger(tmp_path / "ledger.db", readonly=True) as ledger:
                assert (sum(ledger.money()), ledger.counts()) == (0, {"planned": CALLS})
            server.batches.refuses = 0
            await ask_all(tmp_path, provider, address(server, provider), CALLS)
            assert_paid_once(tmp_path, server, await ask_all(tmp_path, provider, address(server, provider), CALLS))

    asyncio.run(run())


def test_list_prices_of_a_batch_are_half_and_reserve_half() -> None:
    online = RoleConfig(provider="anthropic", model="claude-opus-5-5").price()
    batch = RoleConfig(provider="anthropic", model="claude-opus-5-5", batch=True).price()
    assert online is not None and batch is not None
    assert [2 * nano for nano in batch[1:]] == list(online[1:])
