"""One client in one process: `python -m benchmarks.oracle_client NAME BASE_URL CALLS CONCURRENCY FOLDER [FIRST]`.

NAME is `bare` (aiohttp and nothing else: what is physically possible here), `castalia` (with the ledger and a budget), or a peer below
`benchmarks/peers`, whose scripts take the same arguments in an interpreter of their own. The last line of output is JSON: seconds, CPU
seconds of the process and its children, peak MB, answers. Imports and the first three calls are not measured.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from castalia.oracle import RoleConfig, Task, open_oracle

SYSTEM = "You answer questions about small libraries. " * 8
WARM_UP = ("first", "second", "third")


class Answer(BaseModel):
    """What is asked for."""

    answer: str


def question(number: int) -> str:
    """The user's message of a call."""
    return f"question {number}"


async def measure(one: Callable[[str], Awaitable[None]], calls: range, concurrency: int) -> dict[str, Any]:
    """So many workers, each of which makes one call after the other."""
    waiting = iter(calls)

    async def worker() -> None:
        for number in waiting:
            await one(question(number))

    for text in WARM_UP:
        await one(text)
    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu, "answers": len(calls)}


async def bare(base_url: str, calls: range, concurrency: int, folder: Path) -> dict[str, Any]:
    """POST, read, validate."""
    del folder
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(text: str) -> None:
            messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
            async with session.post(f"{base_url}/chat/completions", json={"model": "m", "messages": messages, "max_tokens": 100}) as reply:
                Answer.model_validate_json((await reply.json())["choices"][0]["message"]["content"])

        return await measure(one, calls, concurrency)


def role(base_url: str) -> RoleConfig:
    """The server as a role with a price, so that the budget is kept too."""
    settings: dict[str, Any] = {"base_url": base_url, "model": "m", "max_tokens": 100, "prices": {"input": 1.0, "output": 2.0}}
    return RoleConfig.model_validate({"provider": "openai", **settings})


async def castalia(base_url: str, calls: range, concurrency: int, folder: Path) -> dict[str, Any]:
    """Through the oracle. All calls are asked for at once, as stages do; the limiter keeps `concurrency` of them in flight."""
    config = role(base_url)
    async with open_oracle({"writer": config}, folder / "ledger.db", budget_usd=1000.0, concurrency=concurrency) as oracle:

        async def one(text: str) -> None:
            await oracle.ask("writer", SYSTEM, text, Answer, task=Task("benchmark", "question", text, "0" * 64))

        return await measure(one, calls, WORKERS_PER_SLOT * concurrency)


CLIENTS = {"bare": bare, "castalia": castalia}
WORKERS_PER_SLOT = 4
"""Askers for every call in flight: a call that waits for its `Retry-After` holds no place."""


def main(arguments: list[str]) -> None:
    """Runs one client and prints its line."""
    name, base_url, count, concurrency, folder, *rest = arguments
    first = int(rest[0]) if rest else 0
    calls = range(first, first + int(count))
    measured = asyncio.run(CLIENTS[name](base_url, calls, int(concurrency), Path(folder)))
    print(json.dumps({**measured, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main(sys.argv[1:])
