"""What a crash costs: SIGKILL at every step of a call and of a batch and at random moments; jumping clocks, failing disks, fuzzed budgets.

The same work is done over three paths: online, by batch file, and by the batch APIs of both vendors. After every round of kills it is
finished by a process that nobody kills, and the ledger is held against the bill of the model server, which writes down what it charged
whether or not anybody received it, half the price in a batch.
"""

import asyncio
import json
import random
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from benchmarks.oracle_faults_budgets import fuzz_budgets
from benchmarks.oracle_faults_children import BUDGET_USD, CALLS, AskedBy, Ended, Order, fork, run_child, run_children
from benchmarks.oracle_invariants import Charged, Price, answers_of, broken_invariants
from castalia.oracle import open_ledger
from castalia.oracle.scripted import Act, Server, scripted_server

STEPS = ("before-intent", "after-intent", "mid-send", "after-headers", "mid-body", "before-commit", "mid-commit", "after-commit")
PASSAGES = (1, 2, 5, 9)
"""At which passage of a step the process dies."""
FILE_STEPS = ("mid-commit:1", "mid-commit:2", "mid-commit:3", "mid-commit:5")
"""A batch file is filled and taken in by commits alone."""
BATCH_STEPS: tuple[tuple[str, ...], ...] = (
    *((f"mid-commit:{number}",) for number in (1, 3, 20, 34, 35, 36)),
    ("batch-prepared:1",), ("batch-uploaded:1",), ("batch-created:1",), ("batch-adopted:1",),
    ("batch-prepared:1", "batch-claimed:1"), ("batch-created:1", "batch-found:1"), ("batch-prepared:1", "batch-created:1"),
    ("batch-created:1", "batch-adopted:1"),
    ("", "batch-polled:1"), ("", "batch-line:1"), ("", "batch-line:9"), ("", "batch-results:1"), ("", "batch-results:3"),
    ("", "batch-ended:1"), ("", "mid-commit:2"), ("", "mid-commit:4"), ("", "mid-commit:8"),
)  # fmt: skip
"""Deaths of one run after the other; an empty one lets a run submit, so that the next takes the results in."""
QUICK_BATCH_STEPS = (("batch-created:1",), ("batch-prepared:1", "batch-created:1"), ("", "batch-results:1"))
Vendor = Literal["openai", "anthropic"]
PATHS: Mapping[Vendor, AskedBy] = {"openai": "openai batch", "anthropic": "anthropic batch"}
PRICE = Price(1000, 2000)
NANO_PER_CENT = 10_000_000
DISKS = (100_000, 150_000, 200_000, 250_000, 300_000, 400_000)
"""Bytes of the ledger's log after which the disk fails: while calls are planned, sent, or taken in."""
JUMP_SECONDS = 3 * 3600.0


class Tried(NamedTuple):
    """One ledger after its kills and its last, undisturbed run."""

    kills: int
    lost: int
    unlisted: int
    listed: int
    double_done: int
    mismatch: int
    """Nano-dollars."""
    batch_twice: int
    """Answers that were charged in a batch though an earlier batch had them."""
    broke: int
    """Processes that ended with an error of their own, as they should when the disk fails."""
    other: tuple[str, ...]
    """Broken invariants that have no figure of their own."""


def run(gold: Path | None, quick: bool) -> dict[str, Any]:
    """The figures; `gold` isn't needed."""
    del gold
    fork.set_forkserver_preload(["benchmarks.oracle_faults_children", "aiohttp", "castalia.oracle.providers.openai"])
    started = time.monotonic()
    tried: list[Tried] = []
    groups: dict[str, int] = {}

    def count(name: str, done: list[Tried]) -> None:
        tried.extend(done)
        groups[name] = groups.get(name, 0) + sum(one.kills for one in done)

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for step in STEPS:
            for passage in PASSAGES[:1] if quick else PASSAGES:
                count("steps_online", [_online(root / f"step-{step}-{passage}", [f"{step}:{passage}"], 0)])
        count("steps_by_file", [_by_file(root / f"file-{step}", [step], 0) for step in (FILE_STEPS[:1] if quick else FILE_STEPS)])
        for number, deaths in enumerate(QUICK_BATCH_STEPS if quick else BATCH_STEPS):
            for vendor in PATHS:
                if not (vendor == "anthropic" and "batch-uploaded:1" in deaths):  # this API has no upload
                    count("steps_by_batch", [_by_batch(root / f"batch-{vendor}-{number}", deaths, number, vendor)])
        _at_random(root, 12 if quick else 200, count)
        disturbed = _disturbed(root, quick)
        over, stopped = fuzz_budgets(root, 40 if quick else 1000)
    every = [*tried, *disturbed]
    figures = {
        "kills": sum(groups.values()),
        **{f"kills_{name}": number for name, number in groups.items()},
        "lost": sum(one.lost for one in every),
        "listed_duplicates": sum(one.listed for one in every),
        "unlisted_duplicates": sum(one.unlisted for one in every),
        "batch_duplicates": sum(one.batch_twice for one in every),
        "double_done": sum(one.double_done for one in every),
        "bill_mismatch_cents": sum(one.mismatch for one in every) / NANO_PER_CENT,
        "clock_runs": sum(one.broke == 0 for one in disturbed),
        "disk_failures": sum(one.broke for one in disturbed),
        "over_budget_cents": over / NANO_PER_CENT,
        "budget_runs": 40 if quick else 1000,
        "budget_stops": stopped,
        "other_broken": sum(len(one.other) for one in every),
        "seconds": time.monotonic() - started,
    }
    for words in [words for one in every for words in one.other][:10]:
        print(words)
    return {"figures": figures}


def _at_random(root: Path, wanted: int, count: Callable[[str, list[Tried]], None]) -> None:
    """Kills at random moments over all paths in turn; a child may end before its moment comes."""
    kills = seed = 0
    while kills < wanted and seed < wanted:
        folder = root / f"random-{seed}"
        paths: tuple[tuple[str, Callable[[], Tried]], ...] = (
            ("random_online", lambda folder=folder, seed=seed: _online(folder / "online", [None] * 4, seed)),
            ("random_by_file", lambda folder=folder, seed=seed: _by_file(folder / "file", [None] * 4, seed)),
            ("random_by_batch", lambda folder=folder, seed=seed: _by_batch(folder / "batch", [None] * 4, seed, _vendor(seed))),
            ("random_online_and_by_batch", lambda folder=folder, seed=seed: _mixed(folder / "mixed", [None] * 4, seed)),
            ("random_eight_processes", lambda folder=folder, seed=seed: _eight(folder / "eight", seed, _vendor(seed))),
        )
        folder.mkdir()
        for name, path in paths[: 4 if seed % 4 else 5]:
            done = path()
            kills += done.kills
            count(name, [done])
        seed += 1


def _vendor(seed: int) -> Vendor:
    return "anthropic" if seed % 2 else "openai"


def _disturbed(root: Path, quick: bool) -> list[Tried]:
    """Nobody is killed, but the wall clock jumps by hours, or the disk fails in the middle."""
    done: list[Tried] = []
    for number, jump in enumerate((JUMP_SECONDS, -JUMP_SECONDS)[: 1 if quick else 2]):
        done.append(_online(root / f"clock-{number}", ["", "after-headers:3"], number, clock=jump))
        done += [_by_batch(root / f"clock-{vendor}-{number}", ["batch-created:1"], number, vendor, clock=jump) for vendor in PATHS]
    for number, disk in enumerate(DISKS[1:2] if quick else DISKS):
        done.append(_online(root / f"disk-{number}", [""], number, disk=disk))
        done += [_by_batch(root / f"disk-{vendor}-{number}", ["", ""], number, vendor, disk=disk) for vendor in PATHS]
    return done


# Paths


def _online(folder: Path, deaths: Sequence[str | None], seed: int, *, clock: float = 0.0, disk: int = 0) -> Tried:
    """Calls over HTTP, with refusals and cut connections; each of `deaths` is a step, or None for a random moment."""
    draw = random.Random(seed)
    with _serving(_script(random.Random(seed + 1), faulty=None in deaths, refuses=bool(clock))) as server:
        order = Order(str(folder), "online", server.openai, clock=clock)
        ended = [run_child(order._replace(death=death, disk=disk), draw) for death in deaths]
        ended.append(run_child(order, draw))
        return _judged(folder, ended, _bill(server))


def _by_file(folder: Path, deaths: Sequence[str | None], seed: int) -> Tried:
    """Calls by batch file: planned and written, answered once, taken in. The file is answered exactly once per call, as a server would."""
    draw = random.Random(seed)
    answered: dict[str, bytes] = {}
    folder.mkdir()
    ended: list[Ended] = []
    for death in (*deaths, ""):
        ended.append(run_child(Order(str(folder), "file", death=death), draw))
        pending = folder / "pending.jsonl"
        for line in pending.read_bytes().splitlines() if pending.is_file() else []:
            key = json.loads(line)["custom_id"]
            answered.setdefault(key, _result(key, len(answered)))
        (folder / "results.jsonl").write_bytes(b"".join(line + b"\n" for line in answered.values()))
    # The first takes the results in, the second is answered by the ledger.
    ended += [run_child(Order(str(folder), "file"), draw) for _ in range(2)]
    return _judged(folder, ended, [Charged("", line, (10 + number, 5)) for number, line in enumerate(answered.values())])


def _result(key: str, number: int) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": json.dumps({"x": number})}}
    usage = {"prompt_tokens": 10 + number, "completion_tokens": 5}
    body = {"model": "scripted", "choices": [choice], "usage": usage}
    return json.dumps({"custom_id": key, "response": {"status_code": 200, "body": body}, "error": None}).encode()


def _by_batch(folder: Path, deaths: Sequence[str | None], seed: int, vendor: Vendor, *, clock: float = 0.0, disk: int = 0) -> Tried:
    """Calls by a vendor's batch API; at random also with lost answers, slow batches, broken downloads, and items that are refused."""
    draw = random.Random(seed)
    faulty = None in deaths
    with _serving(_script(random.Random(seed + 1), faulty=faulty)) as server:
        order = Order(str(folder), PATHS[vendor], _address(server, vendor), clock=clock)
        ended: list[Ended] = []
        for death in deaths:
            _disturb_batches(server, draw, faulty)
            ended.append(run_child(order._replace(death=death, disk=disk, is_patient=faulty or bool(disk)), draw))
        server.batches.seconds = server.batches.lose_answers = server.batches.cuts = 0
        ended += _to_the_end(order, draw)
        return _judged(folder, ended, _bill(server))


def _mixed(folder: Path, deaths: Sequence[str | None], seed: int) -> Tried:
    """One ledger whose runs ask now online, now by batch."""
    draw = random.Random(seed)
    with _serving(_script(random.Random(seed + 1), faulty=True)) as server:
        batch = Order(str(folder), "openai batch", server.openai)
        ended: list[Ended] = []
        for death in deaths:
            _disturb_batches(server, draw, True)
            path = batch if draw.random() < 0.5 else batch._replace(path="online")
            ended.append(run_child(path._replace(death=death, is_patient=True), draw))
        server.batches.seconds = server.batches.lose_answers = server.batches.cuts = 0
        ended += _to_the_end(batch, draw)
        return _judged(folder, ended, _bill(server))


def _eight(folder: Path, seed: int, vendor: Vendor) -> Tried:
    """Eight processes on one plan, three of which are killed."""
    draw = random.Random(seed)
    with _serving(_script(random.Random(seed + 1), faulty=False)) as server:
        order = Order(str(folder), PATHS[vendor], _address(server, vendor), is_patient=True)
        ended: list[Ended] = []
        for _ in range(2):
            ranges = [(start, min(CALLS, start + 12)) for start in range(0, 24, 3)]
            orders = [order._replace(first=first, last=last) for first, last in ranges]
            for number in draw.sample(range(8), 3):
                orders[number] = orders[number]._replace(death=None)
            ended += run_children(orders, draw)
        ended += _to_the_end(order, draw)
        return _judged(folder, ended, _bill(server))


def _to_the_end(order: Order, draw: random.Random) -> list[Ended]:
    """Undisturbed runs until everything is answered: one submits what is open, the next takes it in; refused items go out once more."""
    ended: list[Ended] = []
    while len(ended) < 8:
        ended.append(run_child(order._replace(death=""), draw))
        if len(ended[-1].told) == CALLS:
            break
    return ended


def _disturb_batches(server: Server, draw: random.Random, faulty: bool) -> None:
    if faulty:
        server.batches.seconds = draw.choice([0.0, 0.0, 0.1])
        server.batches.lose_answers = draw.choice([0, 0, 1])
        server.batches.cuts = draw.choice([0, 0, 1])


def _script(faults: random.Random, *, faulty: bool, refuses: bool = False) -> Callable[[int, str], Act]:
    def script(number: int, _: str) -> Act:
        kind = faults.random()
        if refuses and kind < 0.1:
            return Act(status=429, retry_date=1.0)
        if faulty and kind < 0.05:
            return Act(status=429, retry_after="0")
        if faulty and kind < 0.1:
            return Act(fault="reset", usage=(10 + number, 5), text=json.dumps({"x": number}))
        return Act(text=json.dumps({"x": number}), usage=(10 + number, 5), delay=faults.random() * 0.02)

    return script


def _address(server: Server, vendor: Vendor) -> str:
    return server.openai if vendor == "openai" else server.anthropic


# Judging


def _bill(server: Server) -> list[Charged]:
    return [Charged(item.request_id, item.body, item.tokens, item.share, item.user if item.batch else "") for item in server.bill]


def _judged(folder: Path, ended: Sequence[Ended], bill: Sequence[Charged]) -> Tried:
    """The ledger held against the bill."""
    ledger = folder / "ledger.sqlite"
    told: Mapping[str, bytes] = {key: raw for one in ended for key, raw in one.told.items()}
    broken = broken_invariants(ledger, bill, told, price=PRICE, budget=int(BUDGET_USD * 1e9))
    done = answers_of(ledger)
    with open_ledger(ledger, readonly=True) as book:
        listed = len(book.in_doubt())
    names = [one.name for one in broken]
    unlisted = max(0, len(bill) - len(done) - listed)
    others = [f"{folder.name}: {one.name}: {one.words}" for one in broken if one.name not in ("I1", "I2", "I3", "I4", "I5")]
    others += [
        f"{folder.name}: call {key[:12]} was told as two different answers"
        for one in ended
        for key, raw in one.told.items()
        if told[key] != raw
    ]
    if len(done) != CALLS:
        others.append(f"{folder.name}: I8: {len(done)} of {CALLS} calls are answered after the last run")
    asked = [item.in_batch for item in bill if item.in_batch]
    return Tried(
        sum(one.code == -9 for one in ended), names.count("I1"), max(unlisted, names.count("I2")), listed,
        names.count("I3") + names.count("I4"), _mismatch(ledger, bill), len(asked) - len(set(asked)),
        sum(one.code == 1 for one in ended), tuple(others),
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
        total += abs(cost - (0 if item is None else item.due(PRICE)))
    return total


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
