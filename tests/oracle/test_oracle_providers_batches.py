"""Batches: submitted once whatever happens, taken in as far as they came, at their price."""

import asyncio
import json
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import batch_child
import pytest
from batch_cases import Ran, ask_all
from oracle_cases import Point, client, role, task

from castalia.errors import BudgetReached, MissingRecording, OracleError, OracleRefused, RequestRejected, StorageFull
from castalia.oracle import RoleConfig, open_ledger
from castalia.oracle.scripted import FAULTS, Act, Server, scripted_server

CALLS = 5
both = pytest.mark.parametrize("provider", ["openai", "anthropic"])


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("castalia.oracle.batching.SETTLE_SECONDS", 0.0)
    monkeypatch.setattr("castalia.oracle.batch_wire.BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr("castalia.oracle.exchange.BACKOFF_SECONDS", 0.001)


def address(server: Server, provider: str) -> str:
    return server.openai if provider == "openai" else server.anthropic


async def child(folder: Path, provider: str, server: Server, failpoint: str, clock: float = 0.0) -> int:
    return await batch_child.child(folder, provider, address(server, provider), CALLS, failpoint, clock)


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
    "point",
    [
        "batch-prepared:1",
        "batch-uploaded:1",
        "batch-created:1",
        "batch-adopted:1",
        "batch-polled:1",
        "batch-line:1",
        "batch-line:3",
        "batch-results:1",
        "batch-ended:1",
        "mid-commit:4",
    ],
)
def test_a_kill_at_any_step_of_a_batch_never_submits_it_twice(tmp_path: Path, provider: str, point: str) -> None:
    if provider == "anthropic" and point.startswith("batch-uploaded"):
        pytest.skip("this API has no upload")

    async def run() -> None:
        async with scripted_server(lambda number, _: Act(text=json.dumps({"x": number}), usage=(100 + number, 20))) as server:
            is_later = point.startswith(("batch-polled", "batch-line", "batch-results", "batch-ended"))
            codes = [await child(tmp_path, provider, server, point) for _ in range(2 if is_later else 1)]
            assert codes[-1] == -signal.SIGKILL
            for _ in range(3):
                ran = await ask_all(tmp_path, provider, address(server, provider), CALLS)
            assert len(server.batches.batches) == 1
            assert_paid_once(tmp_path, server, ran)

    asyncio.run(run())


@both
@pytest.mark.parametrize(
    ("first", "second"),
    [("batch-prepared:1", "batch-created:1"), ("batch-created:1", "batch-claimed:1"), ("batch-created:1", "batch-found:1")],
)
def test_a_kill_while_a_killed_batch_is_looked_for_never_submits_it_twice(tmp_path: Path, provider: str, first: str, second: str) -> None:
    async def run() -> None:
        async with scripted_server(lambda number, _: Act(text=json.dumps({"x": number}), usage=(100 + number, 20))) as server:
            for point in (first, second):
                await child(tmp_path, provider, server, point)
            for _ in range(2):
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
            await ask_all(tmp_path, provider, address(server, provider), CALLS)
            third = await ask_all(tmp_path, provider, address(server, provider), CALLS)
            assert_paid_once(tmp_path, server, third)

    asyncio.run(run())


@both
def test_what_is_too_long_for_a_batch_is_rejected_once_and_the_run_can_end(tmp_path: Path, provider: str) -> None:
    async def run() -> None:
        async with scripted_server(lambda _, text: FAULTS["context"] if text == "Extract 1." else Act()) as server:
            await ask_all(tmp_path, provider, address(server, provider), 3)
            for offline in (False, True):
                async with client(tmp_path, role(address(server, provider), provider, batch=True), offline=offline) as oracle:
                    asks = (oracle.ask("writer", "You extract.", f"Extract {n}.", Point, task=task(str(n))) for n in range(3))
                    results = await asyncio.gather(*asks, return_exceptions=True)
                    assert [type(result).__name__ for result in results] == ["Reply", "RequestRejected", "Reply"]
            assert len(server.batches.batches) == 1

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


# Results that come otherwise than they should


def doubled(lines: list[bytes]) -> list[bytes]:
    error = b'{"custom_id": %s, "response": null, "error": {"code": "batch_expired", "message": "late"}, "result": {"type": "expired"}}\n'
    keys = [json.dumps(json.loads(line)["custom_id"]).encode() for line in lines]
    return [*(error % key for key in keys), *lines, *lines]


def windows(lines: list[bytes]) -> list[bytes]:
    return [b"\xef\xbb\xbf", *(line.replace(b"\n", b"\r\n") for line in lines), b"\r\n", b"   \r\n"]


def with_strangers(lines: list[bytes]) -> list[bytes]:
    return [lines[0].replace(json.loads(lines[0])["custom_id"].encode(), b"somebody-else"), *lines]


@both
@pytest.mark.parametrize(
    ("spoil", "told"), [(doubled, "10 more results of calls"), (windows, "5 answered"), (with_strangers, "1 results of")]
)
def test_order_repetition_marks_and_strangers_change_no_answer(tmp_path: Path, provider: str, spoil: Any, told: str) -> None:
    async def run() -> None:
        async with scripted_server(lambda number, _: Act(text=json.dumps({"x": number}), usage=(100 + number, 20))) as server:
            server.batches.spoil = spoil
            await ask_all(tmp_path, provider, address(server, provider), CALLS)
            ran = await ask_all(tmp_path, provider, address(server, provider), CALLS)
            assert told in ran.notes[0]
            assert_paid_once(tmp_path, server, ran)
            assert {reply.raw for reply in ran.replies} == {bill.body for bill in server.bill}

    asyncio.run(run())


@both
@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda lines: lines[:-2], "2 without a result, in doubt now"),
        (lambda lines: [*lines[:-1], lines[-1][:40]], "1 without a result, in doubt now, 1 results can't be read"),
        (lambda lines: [*lines[1:], b'{"custom_id": "%s"}\n' % json.loads(lines[0])["custom_id"].encode()], "1 results can't be read"),
    ],
    ids=["missing", "cut", "empty"],
)
def test_a_billed_answer_that_can_not_be_found_is_listed_before_it_is_asked_again(
    tmp_path: Path, provider: str, spoil: Any, told: str
) -> None:
    async def run() -> None:
        async with scripted_server(lambda number, _: Act(text=json.dumps({"x": number}))) as server:
            server.batches.spoil = spoil
            await ask_all(tmp_path, provider, address(server, provider), CALLS)
            second = await ask_all(tmp_path, provider, address(server, provider), CALLS)
            assert told in second.notes[0]
            server.batches.spoil = None
            third = await ask_all(tmp_path, provider, address(server, provider), CALLS)
            assert len(third.replies) == CALLS
            with open_ledger(tmp_path / "ledger.db", readonly=True) as ledger:
                assert len(ledger.in_doubt()) == server.charged - CALLS > 0
                assert ledger.verify().problems == ()

    asyncio.run(run())


@both
@pytest.mark.parametrize("what", ["batch", "results"])
def test_a_batch_that_the_provider_has_deleted_leaves_its_calls_in_doubt_and_the_work_goes_on(
    tmp_path: Path, provider: str, what: str
) -> None:
    async def run() -> None:
        async with scripted_server(lambda number, _: Act(text=json.dumps({"x": number}))) as server:
            await ask_all(tmp_path, provider, address(server, provider), CALLS)
            if what == "batch":
                server.batches.batches.clear()
            else:
                server.batches.deletes_results = True
            second = await ask_all(tmp_path, provider, address(server, provider), CALLS)
            assert "in doubt" in second.notes[0]
            server.batches.deletes_results = False
            assert len((await ask_all(tmp_path, provider, address(server, provider), CALLS)).replies) == CALLS
            with open_ledger(tmp_path / "ledger.db", readonly=True) as ledger:
                assert len(ledger.in_doubt()) == CALLS

    asyncio.run(run())


@both
def test_a_download_that_breaks_off_is_begun_again(tmp_path: Path, provider: str) -> None:
    async def run() -> None:
        async with scripted_server(lambda number, _: Act(text=json.dumps({"x": number}), usage=(100 + number, 20))) as server:
            server.batches.cuts = 2
            await ask_all(tmp_path, provider, address(server, provider), CALLS)
            ran = await ask_all(tmp_path, provider, address(server, provider), CALLS)
            assert server.batches.cuts == 0
            assert_paid_once(tmp_path, server, ran)

    asyncio.run(run())


@both
def test_a_proxy_that_answers_for_the_provider_makes_no_batch_twice(tmp_path: Path, provider: str) -> None:
    async def run() -> None:
        async with scripted_server(lambda number, _: Act(text=json.dumps({"x": number}), usage=(100 + number, 20))) as server:
            server.batches.garbles = 2  # the list before, and the answer to the creation or the first look at it
            await ask_all(tmp_path, provider, address(server, provider), CALLS)
            server.batches.garbles = 2
            ran = await ask_all(tmp_path, provider, address(server, provider), CALLS)
            assert len(server.batches.batches) == 1
            assert_paid_once(tmp_path, server, ran)

    asyncio.run(run())


# Clocks, keys, disks


@both
@pytest.mark.parametrize("jump", [-3 * 3600.0, 3 * 3600.0])
def test_a_clock_that_is_hours_wrong_makes_no_batch_twice(tmp_path: Path, provider: str, jump: float) -> None:
    """The process that dies has a clock of its own; the provider's list has other batches, older and newer."""

    async def run() -> None:
        async with scripted_server(lambda number, _: Act(text=json.dumps({"x": number}), usage=(100 + number, 20))) as server:
            await ask_all(_made(tmp_path / "older"), provider, address(server, provider), CALLS, model="older")
            assert await child(tmp_path, provider, server, "batch-created", clock=jump) == -signal.SIGKILL
            await ask_all(_made(tmp_path / "newer"), provider, address(server, provider), 2, model="newer")
            for _ in range(2):
                ran = await ask_all(tmp_path, provider, address(server, provider), CALLS)
            assert len(server.batches.batches) == 3
            assert len(ran.replies) == CALLS
            assert server.charged == CALLS + 2 + CALLS
            with open_ledger(tmp_path / "ledger.db", readonly=True) as ledger:
                assert ledger.in_doubt() == []

    asyncio.run(run())


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@both
def test_a_key_that_is_wrong_while_a_batch_is_under_way_costs_one_request(tmp_path: Path, provider: str) -> None:
    async def run() -> None:
        async with scripted_server() as server:
            await ask_all(tmp_path, provider, address(server, provider), CALLS)
            server.batches.refuses, server.batches.requests = 401, 0
            ran = await ask_all(tmp_path, provider, address(server, provider), 200)
            assert {type(result) for result in ran.results} == {OracleRefused}
            assert server.batches.requests == 1

    asyncio.run(run())


def test_a_disk_without_room_for_answers_stops_before_a_batch_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))

    async def run() -> None:
        async with scripted_server() as server:
            with pytest.raises(StorageFull, match="nothing was sent"):
                await ask_all(tmp_path, "openai", server.openai, CALLS)
            assert (server.batches.requests, server.batches.batches) == (0, {})

    asyncio.run(run())


def test_a_call_that_holds_a_key_is_refused_for_a_batch_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_KEY", "sk-secret-0123456789")

    async def run() -> None:
        async with scripted_server() as server, client(tmp_path, role(server.openai, batch=True, api_key_env="BATCH_KEY")) as oracle:
            with pytest.raises(RequestRejected, match="'leaky'"):
                await oracle.ask("writer", "S", "Use sk-secret-0123456789.", Point, task=task("leaky"))

    asyncio.run(run())


# Processes


@both
def test_eight_processes_on_one_plan_put_every_call_into_one_batch(tmp_path: Path, provider: str) -> None:
    async def run() -> None:
        async with scripted_server(lambda number, _: Act(text=json.dumps({"x": number}), usage=(100 + number, 20))) as server:
            server.batches.seconds = 0.5
            assert await asyncio.gather(*(child(tmp_path, provider, server, "") for _ in range(8))) == [0] * 8
            await asyncio.sleep(0.5)
            await asyncio.gather(*(child(tmp_path, provider, server, "") for _ in range(8)))
            ran = await ask_all(tmp_path, provider, address(server, provider), CALLS)
            assert sum(len(batch.items) for batch in server.batches.batches.values()) == CALLS
            assert_paid_once(tmp_path, server, ran)

    asyncio.run(run())
