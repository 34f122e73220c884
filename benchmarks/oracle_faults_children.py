"""The processes that `oracle_faults` kills: each asks for the same answers over one path, and notes what it was given.

They are forked from a process that has everything imported, so that a kill costs milliseconds and not a start of Python.
"""

import asyncio
import json
import multiprocessing
import os
import random
import resource
import sys
import time
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from castalia.errors import MissingRecording, OracleError
from castalia.oracle import RoleConfig, Task, batch_results, batch_wire, batching, open_ledger, open_oracle
from castalia.oracle.failpoints import arm
from castalia.oracle.providers.batch_file import export_pending, import_results

AskedBy = Literal["online", "file", "openai batch", "anthropic batch"]
CALLS = 30
IN_FLIGHT = 8
BUDGET_USD = 5.0
LIMIT_SECONDS = 60.0
FILED_AT_ONCE = 7
"""So few results in a commit that a kill falls between two of them."""

fork = multiprocessing.get_context("forkserver")


class Order(NamedTuple):
    """What one process does and how it ends."""

    folder: str
    path: AskedBy
    base_url: str = ""
    death: str | None = ""
    """A step at which it dies, None for a random moment, empty for its natural end."""
    first: int = 0
    last: int = CALLS
    clock: float = 0.0
    """Seconds by which its wall clock jumps, there and back, all the time."""
    disk: int = 0
    """So many bytes the disk takes of a file before it fails; 0 for a disk that is sound."""
    is_patient: bool = False
    """Whether a call that can't be asked now is let be: it may be under way in a batch."""


class Point(BaseModel):
    """What is asked for."""

    x: int


class Ended(NamedTuple):
    """A process that is over."""

    code: int
    """-9 when it was killed."""
    told: dict[str, bytes]
    """The answers it was given, by ledger key."""


def run_child(order: Order, draw: random.Random) -> Ended:
    """Runs a process until it ends or dies. Raises RuntimeError when it does neither, or ends badly though nothing disturbed it."""
    [ended] = run_children([order], draw)
    return ended


def run_children(orders: list[Order], draw: random.Random) -> list[Ended]:
    """The same for several at once."""
    started: list[tuple[Any, Path, Order]] = []
    for number, order in enumerate(orders):
        folder = Path(order.folder)
        folder.mkdir(exist_ok=True)
        note = folder / f"told-{number}.jsonl"
        note.unlink(missing_ok=True)
        process = fork.Process(target=_work, args=(order, str(note)))
        process.start()
        started.append((process, note, order))
    for process, _, order in started:
        if order.death is None:
            process.join(draw.random() * 0.35)
            process.kill()
    return [_end(process, note, order) for process, note, order in started]


def _end(process: Any, note: Path, order: Order) -> Ended:
    process.join(LIMIT_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise RuntimeError(f"a child in {order.folder} did not end within {LIMIT_SECONDS:.0f} s: {order}")
    if order.death == "" and not order.disk and process.exitcode != 0:
        raise RuntimeError(f"the undisturbed run in {order.folder} ended with {process.exitcode}: {order}")
    lines = note.read_text(encoding="utf-8").split("\n")[:-1] if note.is_file() else []
    return Ended(process.exitcode, {key: raw.encode() for key, raw in map(json.loads, lines)})


# In the child


def _work(order: Order, note: str) -> None:
    arm(order.death or "")
    batching.SETTLE_SECONDS = batch_wire.BACKOFF_SECONDS = 0.02
    batch_results.FILED_AT_ONCE = FILED_AT_ONCE
    if order.clock:
        _let_the_clock_jump(order.clock)
    try:
        if order.disk:
            resource.setrlimit(resource.RLIMIT_FSIZE, (order.disk, order.disk))
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123  # the error is expected
        if order.path == "file":
            _by_file(order, note)
        else:
            asyncio.run(_ask_all(order, note, _role(order)))
    except OracleError:
        if not order.is_patient:
            raise


def _let_the_clock_jump(seconds: float) -> None:
    true_time, asked = time.time, [0]

    def jumping() -> float:
        asked[0] += 1
        return true_time() + (seconds if asked[0] // 5 % 2 else 0.0)

    time.time = jumping


def _role(order: Order) -> RoleConfig:
    if order.path == "online":
        return role({"provider": "openai", "base_url": order.base_url})
    provider = order.path.split()[0]
    # Prices of a role's own are taken as they are, so a batch's are named.
    return role({"provider": provider, "base_url": order.base_url, "batch": True, "prices": {"input": 0.5, "output": 1.0}})


def role(settings: dict[str, Any]) -> RoleConfig:
    """A writer."""
    usual = {"model": "scripted", "max_tokens": 100, "prices": {"input": 1.0, "output": 2.0}}
    return RoleConfig.model_validate({**usual, **settings})


def _by_file(order: Order, note: str) -> None:
    """Takes in what was answered, then plans the rest and writes the file."""
    place = Path(order.folder)
    results = place / "results.jsonl"
    if results.is_file():
        with open_ledger(place / "ledger.sqlite") as ledger:
            import_results(ledger, results)
    asyncio.run(_ask_all(order, note, role({"provider": "batch_file"})))
    with open_ledger(place / "ledger.sqlite", readonly=True) as ledger:
        export_pending(ledger, place / "pending.jsonl")


async def _ask_all(order: Order, note: str, config: RoleConfig) -> None:
    told = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        ledger = Path(order.folder) / "ledger.sqlite"
        async with open_oracle({"writer": config}, ledger, budget_usd=BUDGET_USD, concurrency=IN_FLIGHT) as oracle:

            async def one(number: int) -> None:
                try:
                    reply = await oracle.ask("writer", "You extract.", f"Extract {number}.", Point, task=task(number))
                except MissingRecording:
                    return
                except OracleError:
                    if not order.is_patient:
                        raise
                    return
                os.write(told, (json.dumps([reply.key, reply.raw.decode()]) + "\n").encode())

            await asyncio.gather(*(one(number) for number in range(order.first, order.last)))
    finally:
        os.close(told)


def task(number: int) -> Task:
    """What is asked about."""
    return Task(stage="extract", prompt="extract", subject=f"page-{number}", prompt_sha256="0" * 64)
