"""What a crash costs: SIGKILL at every step of a call and at random moments, online and by batch; and budgets under fuzzing.

After every round of kills the work is finished by a process that nobody kills, and the ledger is held against the bill of the model server,
which writes down what it charged whether or not anybody received it. Children are forked from a process that has everything imported, so
that a kill costs milliseconds and not a start of Python.
"""

import asyncio
import json
import multiprocessing
import os
import random
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from benchmarks.oracle_invariants import Charged, Price, answers_of, broken_invariants
from castalia.errors import BudgetReached, MissingRecording, OracleError
from castalia.oracle import OracleClient, RoleConfig, Task, open_ledger, open_oracle
from castalia.oracle.failpoints import arm
from castalia.oracle.providers.batch_file import export_pending, import_results
from castalia.oracle.scripted import Act, Server, scripted_server

STEPS = ("before-intent", "after-intent", "mid-send", "after-headers", "mid-body", "before-commit", "mid-commit", "after-commit")
PASSAGES = (1, 2, 5, 9)
"""At which passage of a step the process dies."""
BATCH_STEPS = ("mid-commit:1", "mid-commit:2", "mid-commit:3", "mid-commit:5")
"""A batch file is filled and taken in by commits alone."""
CALLS = 30
IN_FLIGHT = 8
PRICE = Price(1000, 2000)
BUDGET_USD = 5.0
NANO_PER_CENT = 10_000_000
LIMIT_SECONDS = 60.0

fork = multiprocessing.get_context("forkserver")


class Point(BaseModel):
    """What is asked for."""

    x: int


class Tried(NamedTuple):
    """One ledger after its kills and its last, undisturbed run."""

    kills: int
    lost: int
    unlisted: int
    listed: int
    double_done: int
    mismatch: int
    """Nano-dollars."""
    other: tuple[str, ...]
    """Broken invariants that have no figure of their own."""


def run(gold: Path | None, quick: bool) -> dict[str, Any]:
    """The figures; `gold` isn't needed."""
    fork.set_forkserver_preload(["benchmarks.oracle_faults", "aiohttp", "castalia.oracle.providers.openai"])
    started = time.monotonic()
    steps = [f"{step}:{passage}" for step in STEPS for passage in (PASSAGES[:1] if quick else PASSAGES)]
    wanted = 24 if quick else 200
    tried: list[Tried] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, step in enumerate(steps):
            tried.append(_online(Path(folder) / f"step-{number}", [step], number))
        for number, step in enumerate(BATCH_STEPS[:1] if quick else BATCH_STEPS):
            tried.append(_by_file(Path(folder) / f"batch-step-{number}", [step], number))
        enumerated = sum(one.kills for one in tried)
        seed = 0
        while sum(one.kills for one in tried) < enumerated + wanted and seed < wanted:  # a child may end before its moment comes
            tried.append(_online(Path(folder) / f"online-{seed}", [None] * 4, seed))
            tried.append(_by_file(Path(folder) / f"batch-{seed}", [None] * 4, seed))
            seed += 1
        over, stopped = _budgets(Path(folder), 60 if quick else 1000)
    kills = sum(one.kills for one in tried)
    figures = {
        "kills": kills,
        "kills_at_steps": enumerated,
        "kills_at_random": kills - enumerated,
        "lost": sum(one.lost for one in tried),
        "listed_duplicates": sum(one.listed for one in tried),
        "unlisted_duplicates": sum(one.unlisted for one in tried),
        "double_done": sum(one.double_done for one in tried),
        "bill_mismatch_cents": sum(one.mismatch for one in tried) / NANO_PER_CENT,
        "over_budget_cents": over / NANO_PER_CENT,
        "budget_runs": 60 if quick else 1000,
        "budget_stops": stopped,
        "other_broken": sum(len(one.other) for one in tried),
        "seconds": time.monotonic() - started,
    }
    for words in [words for one in tried for words in one.other][:10]:
        print(words)
    return {"figures": figures}


# Kills


def _online(folder: Path, deaths: Sequence[str | None], seed: int) -> Tried:
    """Calls over HTTP, with refusals and cut connections; each of `deaths` is a step, or None for a random moment."""
    draw = random.Random(seed)
    faults = random.Random(seed + 1)
    at_random = None in deaths

    def script(number: int, _: str) -> Act:
        kind = faults.random() if at_random else 1.0
        if kind < 0.05:
            return Act(status=429, retry_after="0")
        if kind < 0.1:
            return Act(fault="reset")
        return Act(text=json.dumps({"x": number}), usage=(10 + number, 5), delay=faults.random() * 0.02)

    with _serving(script) as server:
        told: dict[str, bytes] = {}
        kills = 0
        for death in deaths:
            code, acknowledged = _child(ask_online, folder, server.openai, death, draw)
            kills += code == -9
            told |= acknowledged
        _, acknowledged = _child(ask_online, folder, server.openai, "", draw)
        told |= acknowledged
        bill = [Charged(f"req-{item.number}", item.body, item.tokens) for item in server.bill]
    return _judged(folder, kills, bill, told, expected=CALLS)


def _by_file(folder: Path, deaths: Sequence[str | None], seed: int) -> Tried:
    """Calls by batch file: planned and written, answered once, taken in. The file is answered exactly once per call, as a server would."""
    draw = random.Random(seed)
    answered: dict[str, bytes] = {}
    folder.mkdir()
    told: dict[str, bytes] = {}
    kills = 0
    for death in (*deaths, ""):
        code, acknowledged = _child(ask_by_file, folder, "", death, draw)
        kills += code == -9
        told |= acknowledged
        pending = folder / "pending.jsonl"
        lines = pending.read_bytes().splitlines() if pending.is_file() else []
        for line in lines:
            key = json.loads(line)["custom_id"]
            answered.setdefault(key, _result(key, len(answered)))
        (folder / "results.jsonl").write_bytes(b"".join(line + b"\n" for line in answered.values()))
    for _ in range(2):  # the first takes the results in, the second is answered by the ledger
        _, acknowledged = _child(ask_by_file, folder, "", "", draw)
        told |= acknowledged
    bill = [Charged("", line, (10 + number, 5)) for number, line in enumerate(answered.values())]
    return _judged(folder, kills, bill, told, expected=CALLS)


def _result(key: str, number: int) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": json.dumps({"x": number})}}
    usage = {"prompt_tokens": 10 + number, "completion_tokens": 5}
    body = {"model": "scripted", "choices": [choice], "usage": usage}
    return json.dumps({"custom_id": key, "response": {"status_code": 200, "body": body}, "error": None}).encode()


def _judged(folder: Path, kills: int, bill: Sequence[Charged], told: Mapping[str, bytes], *, expected: int) -> Tried:
    """The ledger held against the bill."""
    ledger = folder / "ledger.sqlite"
    broken = broken_invariants(ledger, bill, told, price=PRICE, budget=int(BUDGET_USD * 1e9))
    done = answers_of(ledger)
    with open_ledger(ledger, readonly=True) as book:
        listed = len(book.in_doubt())
    names = [one.name for one in broken]
    unlisted = max(0, len(bill) - len(done) - listed)
    others = [f"{one.name}: {one.words}" for one in broken if one.name not in ("I1", "I2", "I3", "I4", "I5")]
    if len(done) != expected:
        others.append(f"I8: {len(done)} of {expected} calls are answered after the last run")
    return Tried(
        kills, names.count("I1"), max(unlisted, names.count("I2")), listed, names.count("I3") + names.count("I4"), _mismatch(ledger, bill),
        tuple(others),
    )  # fmt: skip


def _mismatch(ledger: Path, bill: Sequence[Charged]) -> int:
    """Nano-dollars by which the costs of done calls differ from the bill, each difference counted."""
    by_id = {item.request_id: item for item in bill if item.request_id}
    by_body = {item.body: item for item in bill}
    with closing(sqlite3.connect(f"{ledger.absolute().as_uri()}?mode=ro", uri=True)) as db:
        rows = db.execute(
            "SELECT attempts.request_id, body, cost FROM calls JOIN answers ON answers.attempt = calls.answer "
            "JOIN attempts ON attempts.id = calls.answer WHERE state = 'done'"
        ).fetchall()
    total = 0
    for request_id, body, cost in rows:
        item = by_id.get(request_id) or by_body.get(body)
        due = 0 if item is None else item.tokens[0] * PRICE.input + item.tokens[1] * PRICE.output
        total += abs(cost - due)
    return total


# Children


def _child(
    work: Callable[[str, str, str], None], folder: Path, base_url: str, death: str | None, draw: random.Random
) -> tuple[int | None, dict[str, bytes]]:
    """Runs `work` in a process of its own until it ends or dies. `death` is a step; None kills it at a random moment.

    Returns its exit code and what it was told: answers are noted in a file as they come, so that none is forgotten with its process.
    """
    folder.mkdir(exist_ok=True)
    note = folder / "told.jsonl"
    note.unlink(missing_ok=True)
    process = fork.Process(target=work, args=(str(folder), base_url, death or ""))
    process.start()
    if death is None:
        process.join(draw.random() * 0.35)
        process.kill()
    process.join(LIMIT_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise RuntimeError(f"a child in {folder} did not end within {LIMIT_SECONDS:.0f} s")
    if death == "" and process.exitcode != 0:
        raise RuntimeError(f"the undisturbed run in {folder} ended with {process.exitcode}")
    lines = note.read_text(encoding="utf-8").split("\n")[:-1] if note.is_file() else []
    return process.exitcode, {key: raw.encode() for key, raw in map(json.loads, lines)}


def ask_online(folder: str, base_url: str, death: str) -> None:
    """Asks for everything over HTTP."""
    arm(death)
    asyncio.run(_ask_all(Path(folder), _role({"provider": "openai", "base_url": base_url})))


def ask_by_file(folder: str, _: str, death: str) -> None:
    """Takes in what was answered, then plans the rest and writes the file."""
    arm(death)
    place = Path(folder)
    results = place / "results.jsonl"
    if results.is_file():
        with open_ledger(place / "ledger.sqlite") as ledger:
            import_results(ledger, results)
    asyncio.run(_ask_all(place, _role({"provider": "batch_file"})))
    with open_ledger(place / "ledger.sqlite", readonly=True) as ledger:
        export_pending(ledger, place / "pending.jsonl")


def _role(settings: dict[str, Any]) -> RoleConfig:
    usual = {"model": "scripted", "max_tokens": 100, "prices": {"input": 1.0, "output": 2.0}}
    return RoleConfig.model_validate({**usual, **settings})


async def _ask_all(folder: Path, role: RoleConfig) -> None:
    note = os.open(folder / "told.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        async with open_oracle({"writer": role}, folder / "ledger.sqlite", budget_usd=BUDGET_USD, concurrency=IN_FLIGHT) as oracle:

            async def one(number: int) -> None:
                try:
                    reply = await oracle.ask("writer", "You extract.", f"Extract {number}.", Point, task=_task(number))
                except MissingRecording:
                    return
                os.write(note, (json.dumps([reply.key, reply.raw.decode()]) + "\n").encode())

            await asyncio.gather(*(one(number) for number in range(CALLS)))
    finally:
        os.close(note)


def _task(number: int) -> Task:
    return Task(stage="extract", prompt="extract", subject=f"page-{number}", prompt_sha256="0" * 64)


@contextmanager
def _serving(script: Callable[[int, str], Act]) -> Generator[Server]:
    """A server on a thread of its own, stopped when the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    serving = scripted_server(script)
    server = asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(10)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


# Budgets


def _budgets(folder: Path, runs: int) -> tuple[int, int]:
    """(nano-dollars by which any bill exceeded its budget, runs that the budget stopped)."""
    return asyncio.run(_fuzz(folder, runs))


async def _fuzz(folder: Path, runs: int) -> tuple[int, int]:
    over = stopped = 0
    chance = random.Random(0)

    def script(number: int, _: str) -> Act:
        kind = chance.random()
        if kind < 0.06:
            return Act(status=chance.choice([429, 503]), retry_after="0")
        if kind < 0.14:
            return Act(fault=chance.choice(["reset", "disconnect"]), usage=(chance.randint(0, 900), chance.randint(0, most)))
        counted = None if kind < 0.2 else (chance.randint(0, 900), chance.randint(0, most))
        charge = (chance.randint(0, 900), chance.randint(0, most)) if counted is None else None
        text = "not JSON" if kind > 0.95 else json.dumps({"x": number})
        return Act(text=text, usage=counted, charge=charge, reasoning=0, delay=chance.random() * 0.003)

    most = 1
    async with scripted_server(script) as server:
        for number in range(runs):
            most = chance.choice([1, 40, 400])
            usd_in, usd_out = chance.choice([0.1, 1.0, 15.0]), chance.choice([0.4, 5.0, 75.0])
            role = _role(
                {"provider": "openai", "base_url": server.openai, "max_tokens": most, "prices": {"input": usd_in, "output": usd_out}}
            )
            one = (1500 * usd_in + most * usd_out) / 1e6
            budget = one * chance.uniform(0, 12)
            server.bill.clear()
            place = folder / f"budget-{number % 8}-{number}.sqlite"
            async with open_oracle({"writer": role}, place, budget_usd=budget, concurrency=chance.choice([1, 4, 16])) as oracle:
                results = await asyncio.gather(*(_try(oracle, k) for k in range(chance.randint(2, 14))))
                committed = round(sum(oracle.ledger.money()) * 1e9)
            stopped += any(isinstance(result, BudgetReached) for result in results)
            billed = sum(item.tokens[0] * round(usd_in * 1000) + item.tokens[1] * round(usd_out * 1000) for item in server.bill)
            over += max(0, billed - int(budget * 1e9), committed - int(budget * 1e9))
            for path in folder.glob(f"{place.name}*"):
                if path.is_file():
                    path.unlink()
    return over, stopped


async def _try(oracle: OracleClient, number: int) -> OracleError | None:
    try:
        await oracle.ask("writer", "You extract.", f"Extract {number}.", Point, task=_task(number))
    except OracleError as error:
        return error
    return None
