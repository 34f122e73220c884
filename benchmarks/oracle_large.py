"""A ledger with a million calls: how much memory does a run on it need?

The ledger is made with the ledger's own steps in large transactions, so its chain, accounts and totals verify. Then a fresh process opens
it, makes new calls, asks for them again, sums usage, and verifies every link: `python -m benchmarks.oracle_large BASE_URL FOLDER`.
"""

import asyncio
import hashlib
import json
import resource
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.model_server import ModelServer
from benchmarks.oracle_client import SYSTEM, Answer, question, role
from castalia.oracle import Task, open_oracle
from castalia.oracle.ledger.batches import Finish, Receive, Send, finish_all, receive_all, send_all
from castalia.oracle.ledger.books import load_books, save_books
from castalia.oracle.ledger.rows import Intent, Reading, Sent
from castalia.oracle.ledger.tables import connect
from castalia.records import canonical_json

NEW_CALLS = 2000
STEP = 10_000
LIMIT_SECONDS = 900.0


def measure(folder: Path, server: ModelServer, rows: int) -> dict[str, Any]:
    """Figures of a ledger with so many rows."""
    folder.mkdir()
    started = time.perf_counter()
    fill(folder / "ledger.db", rows)
    filled = time.perf_counter()
    server.script(delay=0.001)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.oracle_large", server.base_url, str(folder)],
        stdout=subprocess.PIPE, text=True, timeout=LIMIT_SECONDS, cwd=Path(__file__).parents[1], check=True,
    )  # fmt: skip
    return {
        "large_rows": rows,
        "large_fill_seconds": filled - started,
        "large_ledger_mb": (folder / "ledger.db").stat().st_size / 2**20,
        **json.loads(done.stdout.splitlines()[-1]),
    }


def fill(path: Path, rows: int) -> None:
    """Writes so many done calls."""
    answer = {"model": "m", "choices": [{"message": {"content": "x" * 200}}], "usage": {"prompt_tokens": 60, "completion_tokens": 12}}
    with closing(connect(path, readonly=False)) as db:
        db.execute("PRAGMA synchronous = OFF")
        books = load_books(db)
        for start in range(0, rows, STEP):
            intents = [_intent(number) for number in range(start, min(rows, start + STEP))]
            db.execute("BEGIN IMMEDIATE")
            sent = [item for item in send_all(db, books, [Send(intent, None) for intent in intents], "filler") if isinstance(item, Sent)]
            bodies = [canonical_json({**answer, "id": intent.subject}).encode() for intent in intents]
            receive_all(db, [Receive(item, body, 200, "") for item, body in zip(sent, bodies, strict=True)])
            reading = Reading(60, 12, False, 84_000, "end", "m")
            ends = [Finish(intent, item, body, 200, "", reading) for intent, item, body in zip(intents, sent, bodies, strict=True)]
            finish_all(db, books, ends, "filler")
            save_books(db, books)
            db.execute("COMMIT")


def _intent(number: int) -> Intent:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"filled {number}"}]
    request = canonical_json({"base_url": "filled", "body": {"messages": messages, "model": "m"}, "provider": "openai", "sample": 0})
    return Intent(
        key=hashlib.sha256(request.encode()).hexdigest(), request=request, redacted=False, stage="benchmark", role="writer",
        prompt="question", subject=f"filled {number}", prompt_sha256="0" * 64, sample=0, provider="openai", base_url="filled", model="m",
        sampling="{}", system_sha256="0" * 64, price_in=1000, price_out=2000, price_cached=1000, price_written=1000, worst=100_000,
    )  # fmt: skip


async def use(base_url: str, folder: Path) -> dict[str, Any]:
    """A run on the ledger, and everything a person asks it."""
    config = role(base_url)
    started = time.perf_counter()
    async with open_oracle({"writer": config}, folder / "ledger.db", budget_usd=1e6, concurrency=64) as oracle:
        opened = time.perf_counter()

        async def ask(number: int) -> None:
            text = question(number)
            await oracle.ask("writer", SYSTEM, text, Answer, task=Task("benchmark", "question", text, "0" * 64))

        await asyncio.gather(*(ask(number) for number in range(NEW_CALLS)))
        called = time.perf_counter()
        await asyncio.gather(*(ask(number) for number in range(NEW_CALLS)))
        again = time.perf_counter()
        ledger = oracle.ledger
        for report in (ledger.usage, ledger.counts, ledger.in_doubt, oracle.stats):
            report()
        asked = time.perf_counter()
        verification = ledger.verify()
        verified = time.perf_counter()
    if verification.problems:
        raise SystemExit(f"the filled ledger does not verify: {verification.problems[0]}")
    return {
        "million_row_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "large_open_ms": (opened - started) * 1000,
        "large_calls_per_s": NEW_CALLS / (called - opened),
        "large_hits_per_s": NEW_CALLS / (again - called),
        "large_usage_ms": (asked - again) * 1000,
        "large_verify_seconds": verified - asked,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(use(sys.argv[1], Path(sys.argv[2])))))
