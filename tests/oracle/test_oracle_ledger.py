"""What the ledger promises: a budget that holds, keys that tell the truth, an immutable chain, clear errors."""

import asyncio
import random
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_cases import Point, client, role, task
from pydantic import BaseModel

from castalia.errors import BudgetReached, InputError, OracleError, StorageFull, StoreError
from castalia.oracle import Prices, RoleConfig, open_ledger, open_oracle
from castalia.oracle.scripted import Act, Server, scripted_server

PRICE_IN, PRICE_OUT = 1.0, 2.0


class Disk(NamedTuple):
    """What shutil.disk_usage gives."""

    total: int
    used: int
    free: int


def charged_usd(server: Server) -> float:
    return sum(tokens_in * PRICE_IN + tokens_out * PRICE_OUT for tokens_in, tokens_out in (item.tokens for item in server.bill)) / 1e6


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32), budget=st.floats(0.0005, 0.02))
def test_a_budget_is_never_exceeded_at_64_calls_in_flight_whatever_fails(seed: int, budget: float) -> None:
    chance = random.Random(seed)

    def script(_: int, __: str) -> Act:
        kind = chance.random()
        if kind < 0.1:
            return Act(status=429, retry_after="0")
        if kind < 0.15:
            return Act(fault="reset", charge=(300, 100))
        charge = (chance.randint(1, 300), chance.randint(1, 100))
        return Act(usage=None if kind < 0.2 else charge, charge=charge, delay=chance.random() * 0.01)

    async def run(folder: Path) -> None:
        async with scripted_server(script) as server, client(folder, role(server.openai), budget_usd=budget, concurrency=64) as oracle:
            asks = (oracle.ask("writer", "S", f"U{number}", Point, task=task(str(number))) for number in range(64))
            results = await asyncio.gather(*asks, return_exceptions=True)
            assert all(not isinstance(result, BaseException) or isinstance(result, BudgetReached | OracleError) for result in results)
            money = oracle.ledger.money()
            assert money.spent + money.in_flight + money.in_doubt <= budget
            assert charged_usd(server) <= budget
            assert oracle.ledger.verify().problems == ()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


class Wider(BaseModel):
    """Another shape."""

    x: int
    y: int


BASE: dict[str, Any] = {
    "system": "S", "user": "U", "answer": Point, "sample": 0, "prompt": "extract", "subject": "s", "stage": "extract", "concurrency": 8,
    "config": {
        "model": "scripted", "temperature": 0.5, "top_p": 0.9, "max_tokens": 100, "effort": "low", "native_schema": True,
        "requests_per_minute": None, "tokens_per_minute": None, "prices": Prices(input=1, output=2), "api_key_env": None,
    },
}  # fmt: skip

MATTERS: list[dict[str, Any]] = [
    {"system": "S2"}, {"system": ""}, {"system": "S "}, {"user": "U2"}, {"user": "U\n"}, {"answer": Wider}, {"sample": 1}, {"sample": 2},
    {"config": {"model": "another"}}, {"config": {"temperature": None}}, {"config": {"temperature": 0.0}}, {"config": {"temperature": 1.0}},
    {"config": {"top_p": None}}, {"config": {"top_p": 0.8}}, {"config": {"max_tokens": 101}}, {"config": {"effort": None}},
    {"config": {"effort": "high"}}, {"config": {"native_schema": False}}, {"provider": "anthropic"},
]  # fmt: skip
DOES_NOT: list[dict[str, Any]] = [
    {"prompt": "renamed"}, {"subject": "another"}, {"stage": "another"}, {"concurrency": 1}, {"budget_usd": 3.0}, {"budget_usd": 9.0},
    {"config": {"requests_per_minute": 600.0}}, {"config": {"tokens_per_minute": 1e9}}, {"config": {"prices": Prices(input=9, output=9)}},
    {"config": {"api_key_env": "SOME_KEY"}}, {"role": "extractor"}, {"role": "judge"},
]  # fmt: skip


async def ask_with(folder: Path, server: Server, changes: dict[str, Any]) -> None:
    case = {**BASE, **changes, "config": {**BASE["config"], **changes.get("config", {})}}
    provider = case.get("provider", "openai")
    config = RoleConfig(provider=provider, base_url=getattr(server, provider), **case["config"])
    oracle = open_oracle({"writer": config}, folder / "l.db", budget_usd=case.get("budget_usd"), concurrency=case["concurrency"])
    async with oracle:
        about = task(case["subject"], case["prompt"])
        about = type(about)(case["stage"], about.prompt, about.subject, about.prompt_sha256)
        await oracle.ask(case.get("role", "writer"), case["system"], case["user"], case["answer"], task=about, sample=case["sample"])


def test_what_can_change_the_answer_misses_and_what_can_not_hits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "a-key-of-some-length")

    async def run() -> None:
        async with scripted_server(lambda *_: Act(text='{"x": 1, "y": 2}')) as server:
            await ask_with(tmp_path, server, {})
            for changes in DOES_NOT:
                await ask_with(tmp_path, server, changes)
                assert len(server.requests) == 1, changes
            for number, changes in enumerate(MATTERS):
                await ask_with(tmp_path, server, changes)
                assert len(server.requests) == 2 + number, changes

    asyncio.run(run())


@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.text(max_size=3)), min_size=2, max_size=6)
)
def test_two_requests_share_a_key_exactly_when_they_are_equal(texts: list[tuple[str, str]]) -> None:
    oracle = open_oracle({"writer": role("http://127.0.0.1:1/v1")}, Path("unused.db"), budget_usd=None)
    part = oracle._part("writer")
    from castalia.oracle import Ask, ChatMessage

    usable = [(system, user) for system, user in texts if user.isprintable()]
    keys = [oracle._call(part, Ask(task("s"), system, (ChatMessage("user", user),))).intent.key for system, user in usable]
    assert len(set(keys)) == len(set(usable))


def fill(folder: Path, subjects: int = 3) -> Path:
    async def run() -> None:
        async with scripted_server(lambda *_: Act()) as server, client(folder, role(server.openai)) as oracle:
            for number in range(subjects):
                await oracle.ask("writer", "S", f"U{number}", Point, task=task(str(number)))

    asyncio.run(run())
    return folder / "ledger.db"


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ("UPDATE answers SET body = CAST('{}' AS BLOB)", "does not match its hash"),
        ("UPDATE calls SET cost = 0", "link in the chain is broken"),
        ("UPDATE requests SET request = '{}'", "does not hash to its key"),
        ("DELETE FROM calls WHERE seq = 3", "the chain ends"),
        ("DELETE FROM calls WHERE seq = 2", "number 3 in the chain where 2 is due"),
        ("UPDATE meta SET value = 0 WHERE name = 'spent'", "'spent'"),
    ],
)
def test_verification_finds_what_was_edited(tmp_path: Path, edit: str, told: str) -> None:
    path = fill(tmp_path)
    with open_ledger(path, readonly=True) as ledger:
        assert ledger.verify().problems == ()
    database = sqlite3.connect(path)
    for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        database.execute(f"DROP TRIGGER {trigger}")
    database.execute(edit)
    database.commit()
    database.close()
    with open_ledger(path, readonly=True) as ledger:
        assert any(told in problem for problem in ledger.verify().problems)


@pytest.mark.parametrize(
    "edit",
    ["UPDATE calls SET cost = 0", "DELETE FROM calls", "DELETE FROM attempts", "DELETE FROM answers", "UPDATE answers SET body = x'00'"],
)
def test_a_done_call_can_not_be_changed_by_any_program(tmp_path: Path, edit: str) -> None:
    database = sqlite3.connect(fill(tmp_path))
    with pytest.raises(sqlite3.IntegrityError, match=r"immutable|never deleted"):
        database.execute(edit)
    database.close()


def test_a_ledger_of_a_newer_castalia_is_left_alone(tmp_path: Path) -> None:
    path = fill(tmp_path)
    database = sqlite3.connect(path)
    database.execute("UPDATE meta SET value = 99 WHERE name = 'version'")
    database.commit()
    database.close()
    for readonly in (True, False):
        with pytest.raises(StoreError, match=r"version 99.*upgrade"):
            open_ledger(path, readonly=readonly)


def test_a_file_that_is_no_ledger_and_a_ledger_that_is_not_there_are_clear_errors(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("hello " * 1000)
    with pytest.raises(StoreError, match="check that the file is a ledger"):
        open_ledger(tmp_path / "text.db")
    with pytest.raises(StoreError, match="there is no ledger"):
        open_ledger(tmp_path / "none.db", readonly=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="writable folder"):
        open_ledger(tmp_path / "file" / "ledger.db")


def test_a_disk_that_is_nearly_full_stops_before_spending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: Act()) as server, client(tmp_path, role(server.openai)) as oracle:
            monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(100, 99, 1))
            with pytest.raises(StorageFull, match="nothing was sent"):
                await oracle.ask("writer", "S", "U", Point, task=task("s"))
            assert server.requests == []

    asyncio.run(run())


def test_a_file_that_can_not_grow_stops_before_spending(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: Act()) as server, client(tmp_path, role(server.openai)) as oracle:
            await oracle.ledger._writing().queue(lambda db, books: db.execute("PRAGMA max_page_count = 1"))
            with pytest.raises(StorageFull, match="Free some space"):
                await oracle.ask("writer", "S", "U" * 100_000, Point, task=task("s"))
            assert server.requests == []

    asyncio.run(run())


def test_a_reader_sees_the_run_and_can_not_write(tmp_path: Path) -> None:
    with open_ledger(fill(tmp_path), readonly=True) as ledger:
        assert ledger.counts() == {"done": 3}
        [row] = ledger.usage()
        assert (row.calls, row.usd) == (3, pytest.approx(3 * 20 / 1e6))
        with pytest.raises(StoreError, match="reading only"):
            ledger.hit("a", "b", "c", "d")
        with pytest.raises(InputError, match="no call"):
            ledger.call("ffff")
