"""Fuzzed budgets: whatever the prices, the concurrency, the faults and the path, the bill never exceeds the cap."""

import asyncio
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.oracle_faults_children import Point, role, task
from castalia.errors import BudgetReached, OracleError
from castalia.oracle import OracleClient, open_oracle
from castalia.oracle.scripted import Act, Server, scripted_server

BATCH_EVERY = 4
"""Of so many runs one goes by batch."""


def fuzz_budgets(folder: Path, runs: int) -> tuple[int, int]:
    """(nano-dollars by which any bill exceeded its budget, runs that the budget stopped)."""
    return asyncio.run(_fuzz(folder, runs))


async def _fuzz(folder: Path, runs: int) -> tuple[int, int]:
    over = stopped = 0
    chance = random.Random(0)
    most = 1

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

    async with scripted_server(script) as server:
        for number in range(runs):
            most = chance.choice([1, 40, 400])
            usd_in, usd_out = chance.choice([0.1, 1.0, 15.0]), chance.choice([0.4, 5.0, 75.0])
            budget = (1500 * usd_in + most * usd_out) / 1e6 * chance.uniform(0, 12)
            settings = {"max_tokens": most, "prices": {"input": usd_in, "output": usd_out}}
            place = folder / f"budget-{number}.sqlite"
            server.bill.clear()
            server.batches.batches.clear()
            by_batch = number % BATCH_EVERY == BATCH_EVERY - 1
            run_one = _by_batch if by_batch else _online
            was_stopped, committed = await run_one(server, place, settings, budget, chance)
            stopped += was_stopped
            while any(batch.answered is None for batch in server.batches.batches.values()):
                await asyncio.sleep(0.01)  # what was submitted last is on this run's bill, too
            # A role's own prices are taken as they are, also for a batch, whose provider charges half of what they would be online.
            billed = sum(item.tokens[0] * round(usd_in * 1000) + item.tokens[1] * round(usd_out * 1000) for item in server.bill)
            over += max(0, billed - int(budget * 1e9), committed - int(budget * 1e9))
            for path in folder.glob(f"{place.name}*"):
                if path.is_file():
                    path.unlink()
    return over, stopped


async def _online(server: Server, place: Path, settings: Mapping[str, Any], budget: float, chance: random.Random) -> tuple[bool, int]:
    config = role({"provider": "openai", "base_url": server.openai, **settings})
    async with open_oracle({"writer": config}, place, budget_usd=budget, concurrency=chance.choice([1, 4, 16])) as oracle:
        results = await asyncio.gather(*(_try(oracle, k) for k in range(chance.randint(2, 14))))
        return any(isinstance(result, BudgetReached) for result in results), _committed(oracle)


async def _by_batch(server: Server, place: Path, settings: Mapping[str, Any], budget: float, chance: random.Random) -> tuple[bool, int]:
    """Three runs: calls that failed in a batch go out with the next."""
    config = role({"provider": chance.choice(["openai", "anthropic"]), "batch": True, **settings})
    config = config.model_copy(update={"base_url": server.openai if config.provider == "openai" else server.anthropic})
    calls, stopped, committed = chance.randint(2, 14), False, 0
    for _ in range(3):
        oracle = open_oracle({"writer": config}, place, budget_usd=budget)
        try:
            async with oracle:
                await asyncio.gather(*(_try(oracle, k) for k in range(calls)))
                committed = max(committed, _committed(oracle))
        except BudgetReached:
            stopped = True
    return stopped, committed


def _committed(oracle: OracleClient) -> int:
    return round(sum(oracle.ledger.money()) * 1e9)


async def _try(oracle: OracleClient, number: int) -> OracleError | None:
    try:
        await oracle.ask("writer", "You extract.", f"Extract {number}.", Point, task=task(number))
    except OracleError as error:
        return error
    return None
