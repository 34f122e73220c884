"""Asking paid models through the command line, against a model server that misbehaves: what it costs, what stops it, what goes on."""

import asyncio
import contextlib
import ctypes
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from castalia.cli import main
from castalia.oracle import open_ledger
from castalia.oracle.scripted import Act, Server, scripted_server
from scripted_expert import expert

SUITE = ("run", "--until", "design_suite")
"""One taxonomy, then one question per node: 1 + 4 calls here, and no page."""
CALLS = 5


@contextmanager
def serving(script: Callable[[int, str], Act]) -> Generator[Server]:
    """A model server on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    running = scripted_server(script)
    server = asyncio.run_coroutine_threadsafe(running.__aenter__(), loop).result(10)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(running.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def configure(folder: Path, server: Server, *, role: dict[str, Any] | None = None, **execution: Any) -> None:
    """A configuration whose writer is the server."""
    writer = {
        "provider": "openai",
        "model": "scripted",
        "base_url": server.openai,
        "max_tokens": 2000,
        "prices": {"input": 3, "output": 15},
    }
    settings = {
        "name": "invented", "domain": "invented words", "oracles": {"writer": {**writer, **(role or {})}},
        "stages": {"taxonomy": {"nodes_per_category": 1}}, "execution": {"store": "work", **execution},
    }  # fmt: skip
    (folder / "castalia.yaml").write_text(yaml.safe_dump(settings))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def facts(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


def start(folder: Path, *arguments: str, first: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "castalia", *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, stdout=pipe, stderr=pipe, preexec_fn=first)


# What was asked


def test_usage_is_shown_by_stage_role_and_model_with_a_sum(here: Path, capsys):
    with serving(lambda number, user: replace(expert(number, user), cached=100, reasoning=7)) as server:
        configure(here, server, budget_usd=5)
        assert main([*SUITE]) == 0
        capsys.readouterr()
        assert main(["oracle"]) == 0
        shown = capsys.readouterr().out
        assert main(["oracle", "--json"]) == 0
        told = facts(capsys)
    rows = {fact["usage"]["stage"]: fact["usage"] for fact in told if "usage" in fact}
    assert (rows["taxonomy"]["calls"], rows["design_suite"]["calls"]) == (1, 4)
    billed = sum(item.tokens[0] * 3 + item.tokens[1] * 15 for item in server.bill) / 1e6
    [money] = [fact["money"] for fact in told if "money" in fact]
    assert money["spent"] == pytest.approx(billed, abs=1e-9)
    assert [line.split()[0] for line in shown.splitlines()[1:4]] == ["design_suite", "taxonomy", "all"]
    assert f"{sum(item.tokens[0] for item in server.bill):,}" in shown
    assert "left of $5.00" in shown


def test_a_second_run_and_a_repaired_answer_are_counted_as_what_they_are(here: Path, capsys):
    with serving(lambda number, user: Act(text="no JSON", usage=(9, 9)) if number == 0 else expert(number, _last_question(user))) as server:
        configure(here, server)
        assert main(["run", "--until", "taxonomy"]) == 0 or server.count
        main([*SUITE, "--rebuild", "taxonomy"])
        capsys.readouterr()
        assert main(["oracle", "--json"]) == 0
    rows = {fact["usage"]["stage"]: fact["usage"] for fact in facts(capsys) if "usage" in fact}
    assert rows["taxonomy"]["repairs"] >= 1
    assert rows["taxonomy"]["cached"] >= 1


def _last_question(user: str) -> str:
    return "Write 1 nodes for each of the four categories" if "That answer can't be used" in user else user


def test_before_the_first_call_there_is_a_hint_and_no_error(here: Path, capsys):
    with serving(expert) as server:
        configure(here, server)
        assert main(["oracle"]) == 0
        assert "castalia plan" in capsys.readouterr().out
        assert main(["oracle", "--json"]) == 0
        assert capsys.readouterr().out == ""
        assert main(["oracle", "--verify"]) == 3


def test_usage_of_a_large_ledger_reads_no_call(here: Path, capsys):
    with serving(expert) as server:
        configure(here, server)
        assert main([*SUITE]) == 0
    capsys.readouterr()
    with open_ledger(here / "work" / "ledger.sqlite", readonly=True) as ledger:
        ledger.usage()
        plans = [
            row[3]
            for sql in (
                "SELECT stage, sum(calls) FROM totals GROUP BY stage",
                "SELECT stage, count(*) FROM calls WHERE state != 'done' AND state = 'failed' GROUP BY stage",
                "SELECT state, count(*) FROM calls WHERE state != 'done' GROUP BY state",
                "SELECT stage, failure, count(*) FROM calls WHERE state != 'done' AND state = 'failed' GROUP BY stage, failure",
            )
            for row in ledger._reader.execute(f"EXPLAIN QUERY PLAN {sql}")
        ]
    assert [plan for plan in plans if "SCAN calls" in plan and "INDEX" not in plan] == []


# Doubt


def test_doubts_are_listed_with_what_to_do_and_settled_either_way(here: Path, capsys):
    def script(number: int, user: str) -> Act:
        return replace(expert(number, user), fault="reset") if number in (1, 3) else expert(number, user)

    with serving(script) as server:
        configure(here, server, budget_usd=5)
        assert main([*SUITE]) == 0
        capsys.readouterr()
        assert main(["oracle", "--in-doubt"]) == 0
        shown = capsys.readouterr().out
        assert main(["oracle", "--in-doubt", "--json"]) == 0
        doubts = facts(capsys)
        assert len(doubts) == 2
        assert {doubt["what_to_do"] for doubt in doubts} == {"answered by a later request"}
        for words in (*(doubt["key"][:12] for doubt in doubts), "castalia oracle --ask-again CALL", "castalia oracle --drop CALL"):
            assert words in shown
        first, second = (doubt["key"] for doubt in doubts)
        assert main(["oracle", "--drop", "ffff"]) == 3
        assert "--in-doubt" in capsys.readouterr().err
        assert main(["oracle", "--ask-again", first[:12], "--json"]) == 0
        assert facts(capsys) == [{"settled": 1, "in_doubt": pytest.approx(doubts[1]["worst_usd"]), "written_off": 0}]
        assert main(["oracle", "--drop", second]) == 0
        assert main(["oracle", "--verify"]) == 0
        capsys.readouterr()
        assert main(["oracle", "--in-doubt"]) == 0
        assert capsys.readouterr().out == "no call is in doubt\n"
        assert main(["oracle"]) == 0
        assert "billed and lost" in capsys.readouterr().out


# Verification


def test_an_edited_answer_is_named(here: Path, capsys):
    with serving(expert) as server:
        configure(here, server)
        assert main([*SUITE]) == 0
    assert main(["oracle", "--verify"]) == 0
    assert "5 answers" in capsys.readouterr().out
    with closing(sqlite3.connect(here / "work" / "ledger.sqlite")) as db:
        [(key,)] = db.execute("SELECT key FROM calls WHERE prompt = 'taxonomy'").fetchall()
        db.execute("DROP TRIGGER done_stays")
        db.execute("UPDATE calls SET cost = cost - 1 WHERE key = ?", (key,))
        db.commit()
    assert main(["oracle", "--verify"]) == 4
    told = capsys.readouterr().err
    assert key[:12] in told
    assert "'taxonomy' for 'taxonomy'" in told


# In and out by file


def test_what_was_paid_is_replayed_from_a_recording_without_a_server(here: Path, capsys):
    with serving(expert) as server:
        configure(here, server)
        assert main([*SUITE]) == 0
    (here / "recordings").mkdir()
    assert main(["oracle", "--record", "recordings/made.jsonl", "--json"]) == 0
    assert facts(capsys)[-1]["answers"] == CALLS
    recorded = "oracles={writer: {provider: recorded, recordings: recordings, base_url: null, model: '', prices: null}}"
    assert main([*SUITE, "--set", recorded, "--set", "execution.store=again"]) == 0
    assert _suite(here / "work") == _suite(here / "again")


def _suite(folder: Path) -> list[str]:
    from castalia.records import SuiteItem
    from castalia.store import open_store

    return sorted(item.prompt.messages[0].content for item in open_store(folder / "store").read_dataset("suite", SuiteItem))


def test_a_batch_file_goes_out_and_its_results_come_in(here: Path, capsys):
    with serving(expert) as server:
        configure(here, server, role={"provider": "batch_file", "base_url": None})
        assert main(["run", "--until", "taxonomy"]) == 6
        assert main(["oracle", "--export", "out.jsonl", "--json"]) == 0
        assert facts(capsys)[-1] == {"wrote": "out.jsonl", "tasks": 1}
        [line] = [json.loads(text) for text in Path("out.jsonl").read_text().splitlines()]
        text = expert(0, line["body"]["messages"][-1]["content"]).text
        body = {"model": "m", "choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
        body["usage"] = {"prompt_tokens": 10, "completion_tokens": 20}
        result = {"custom_id": line["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}
        Path("in.jsonl").write_text(json.dumps(result) + "\n")
        assert main(["oracle", "--import", "in.jsonl", "--json"]) == 0
        told = facts(capsys)[-1]
        assert (told["answered"], told["already"], told["failed"], told["waiting"]) == (1, 0, 0, 0)
        assert main(["run", "--until", "taxonomy"]) == 0
        assert main(["oracle", "--import", "missing.jsonl"]) == 3


def test_a_batch_is_sent_when_the_run_ends_shown_while_it_is_under_way_and_taken_in_by_the_next_run(here: Path, capsys):
    with serving(expert) as server:
        configure(here, server, role={"batch": True}, budget_usd=5)
        server.batches.seconds = 3600.0
        assert main(["run", "--until", "taxonomy"]) == 6
        told = capsys.readouterr().err
        assert "submitted" in told
        assert "--export" not in told
        assert main(["oracle"]) == 0
        assert "under way" in capsys.readouterr().out
        assert main(["oracle", "--json"]) == 0
        [batch] = [fact["batch"] for fact in facts(capsys) if "batch" in fact]
        assert (batch["calls"], batch["state"]) == (1, "open")
        [sent] = server.batches.batches.values()
        sent.due = 0.0
        assert main(["run", "--until", "taxonomy"]) == 0
        capsys.readouterr()
        assert main(["oracle", "--json"]) == 0
        assert [fact for fact in facts(capsys) if "batch" in fact] == []


# Looking ahead


def test_a_dry_run_writes_every_prompt_and_sends_nothing(here: Path, capsys):
    with serving(expert) as server:
        configure(here, server)
        assert main([*SUITE, "--dry-run", "--json"]) == 0
        taxonomy = facts(capsys)
        assert server.count == 0
        assert main(["run", "--until", "taxonomy"]) == 0
        capsys.readouterr()
        assert main(["run", "--dry-run"]) == 0
        shown = capsys.readouterr().out
        assert server.count == 1
    [asked, wrote] = taxonomy
    assert (asked["stage"], asked["calls"], wrote["calls"]) == ("taxonomy", 1, 1)
    assert asked["worst_usd"] > 2000 * 15 / 1e6
    lines = [json.loads(line) for line in (here / "work" / "dry-run.jsonl").read_text().splitlines()]
    assert sorted({line["stage"] for line in lines}) == ["design_suite", "plan_queries"]
    assert all(line["system"] and line["messages"] for line in lines)
    assert "8 calls would be sent" in shown


def test_before_anything_is_collected_a_plan_says_that_it_is_an_upper_bound(here: Path, capsys):
    with serving(expert) as server:
        configure(here, server, budget_usd=1)
        assert main(["plan"]) == 0
        shown = capsys.readouterr().out
        assert "an upper bound" in shown
        assert "1,000 pages" in shown
        assert "may exceed the budget" in shown
        assert main(["plan", "--json"]) == 0
        total = facts(capsys)[-1]["total"]
        assert total["upper_bound"] is True
        assert total["calls"] > 1000
        assert server.count == 0


# What stops it


def test_a_budget_with_an_unknown_price_stops_before_the_first_call(here: Path, capsys):
    with serving(expert) as server:
        configure(here, server, role={"prices": None}, budget_usd=5)
        assert main([*SUITE]) == 6
        told = capsys.readouterr().err
        assert server.count == 0
    for words in ("'scripted'", "price", "budget"):
        assert words in told


def test_a_wrong_key_costs_one_call_and_names_its_variable(here: Path, capsys, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-this-key-is-wrong")
    with serving(lambda *_: Act(status=401, code="invalid_api_key")) as server:
        configure(here, server, role={"api_key_env": "MY_KEY"})
        assert main([*SUITE]) == 6
        told = capsys.readouterr().err
        assert server.count == 1
    assert "MY_KEY" in told
    assert "sk-this-key-is-wrong" not in told
    assert main(["oracle"]) == 0
    shown = capsys.readouterr().out
    assert "1 failed" in shown
    assert "HTTP 401" in shown


def test_a_reached_budget_stops_in_order_and_a_higher_one_goes_on(here: Path, capsys):
    with serving(expert) as server:
        configure(here, server, budget_usd=0.06)
        assert main([*SUITE]) == 6
        told = capsys.readouterr().err
        for words in ("budget of $0.06 is reached", "execution.budget_usd", "Nothing is lost"):
            assert words in told
        spent = sum(item.tokens[0] * 3 + item.tokens[1] * 15 for item in server.bill) / 1e6
        assert 0 < spent <= 0.06
        before = server.count
        assert main([*SUITE, "--set", "execution.budget_usd=5"]) == 0
        assert 1 <= before < server.count == CALLS


def test_a_ledger_of_a_newer_version_is_left_alone(here: Path, capsys):
    with serving(expert) as server:
        configure(here, server)
        assert main(["run", "--until", "taxonomy"]) == 0
        with closing(sqlite3.connect(here / "work" / "ledger.sqlite")) as db:
            db.execute("UPDATE meta SET value = 99 WHERE name = 'version'")
            db.commit()
        capsys.readouterr()
        for command in ([*SUITE], ["oracle"], ["plan"]):
            assert main([*command]) == 4
            told = capsys.readouterr().err
            assert "version 99" in told
            assert "upgrade Castalia" in told
        assert server.count == 1


def test_a_read_only_ledger_stops_before_spending_and_can_still_be_read(here: Path):
    with serving(expert) as server:
        configure(here, server)
        assert main(["run", "--until", "taxonomy"]) == 0
        (here / "work" / "ledger.sqlite").chmod(0o444)
        (here / "work").chmod(0o555)
        try:
            stopped, shown = (start(here, *command, first=_bound_by_permissions) for command in (SUITE, ("oracle",)))
            (_, told), (usage, _) = stopped.communicate(timeout=60), shown.communicate(timeout=60)
        finally:
            (here / "work").chmod(0o755)
        assert (stopped.returncode, shown.returncode) == (4, 0)
        assert server.count == 1
    assert "ledger.sqlite" in told
    assert "writable" in told
    assert "taxonomy" in usage


def _bound_by_permissions() -> None:
    """Also root, once it may no longer override them (CAP_DAC_OVERRIDE leaves the bounding set; prctl(2))."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(24, 1)


# Stopping and going on


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_it_keeps_what_was_paid_and_asks_nothing_twice(here: Path, number: signal.Signals):
    with serving(lambda n, user: replace(expert(n, user), delay=0.0 if n == 0 else 1.0)) as server:
        configure(here, server)
        child = start(here, *SUITE)
        while server.flying < 2:
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(number)
        _, told = child.communicate(timeout=30)
        assert child.returncode == 130
        assert "in flight" in told
        assert "Continue with: castalia run --until design_suite" in told
        assert main([*SUITE]) == 0
        assert server.count == CALLS
        assert main(["oracle", "--in-doubt"]) == 0


def test_a_second_interrupt_leaves_at_once_and_what_was_in_flight_is_listed(here: Path, capsys):
    with serving(lambda n, user: replace(expert(n, user), delay=0.0 if n == 0 else 30.0 if n < 5 else 0.0)) as server:
        configure(here, server)
        child = start(here, *SUITE)
        while server.flying < 2:
            assert child.poll() is None
            time.sleep(0.01)
        flying = server.flying
        child.send_signal(signal.SIGINT)
        time.sleep(1.0)
        started = time.monotonic()
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=20)
        assert time.monotonic() - started < 8
        assert child.returncode == 130
        assert main([*SUITE]) == 0
        capsys.readouterr()
        assert main(["oracle", "--in-doubt", "--json"]) == 0
        assert flying <= len(facts(capsys)) <= 4


# The live line


def test_the_run_tells_rate_money_and_limit_while_it_asks(here: Path):
    with serving(lambda n, user: replace(expert(n, user), delay=0.0 if n == 0 else 1.5)) as server:
        configure(here, server, budget_usd=5, role={"requests_per_minute": 90})
        child = start(here, *SUITE, "--json")
        out, _ = child.communicate(timeout=60)
    told = [json.loads(line) for line in out.splitlines()]
    asking = [fact for fact in told if fact.get("event") == "OracleAsking"]
    assert asking
    assert {fact["limit"] for fact in asking} & {"requests per minute", "provider"}
    assert asking[-1]["calls"] == CALLS
    assert 0 < asking[-1]["usd"] < asking[-1]["usd_left"] < 5
    assert any(fact["tokens_per_second"] > 0 and fact["calls_per_second"] > 0 for fact in asking)


def test_in_a_terminal_one_line_below_the_bars_tells_it(here: Path):
    with serving(lambda n, user: replace(expert(n, user), delay=0.0 if n == 0 else 2.5)) as server:
        configure(here, server, budget_usd=5, concurrency=1)
        ours, theirs = pty.openpty()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm-256color", "COLUMNS": "240", "LINES": "40"}
        command = [sys.executable, "-m", "castalia", *SUITE]
        child = subprocess.Popen(command, cwd=here, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        shown = ""
        with contextlib.suppress(OSError):  # the terminal is gone with its last program
            while data := os.read(ours, 65536):
                shown += data.decode("utf-8", "replace")
        os.close(ours)
        assert child.wait(60) == 0
    lines = [line for line in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown).replace("\r", "\n").splitlines() if line.startswith("oracle:")]
    full = re.compile(
        r"oracle: \d+ calls.*, [\d.]+/s, [\d,]+ tokens/s · \$[\d.]+ spent, \$[\d.]+ left · \d+ in flight.*limited by [\w ,-]+ · design_suite .* left"
    )
    assert [line for line in lines if full.match(line)], lines[-3:]
    assert {word for line in lines for word in re.findall(r"limited by (\w+)", line)} & {"concurrency", "provider"}
