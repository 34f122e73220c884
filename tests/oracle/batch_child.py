"""A process that submits a batch, or takes its results in, and can be killed at a failpoint.

It is forked from one that has everything imported, so that a kill in a test costs milliseconds instead of an interpreter's start.
"""

import asyncio
import multiprocessing
import time
from pathlib import Path

from batch_cases import ask_all

from castalia.oracle import batching
from castalia.oracle.failpoints import arm

LIMIT_SECONDS = 60.0

fork = multiprocessing.get_context("forkserver")
fork.set_forkserver_preload(["pytest", "aiohttp", "castalia.oracle.batching", "castalia.oracle.client", "castalia.oracle.providers.openai"])


async def child(folder: Path, provider: str, base_url: str, calls: int, failpoint: str, clock: float = 0.0) -> int:
    """Runs it and returns its exit code. Its wall clock is `clock` seconds ahead."""
    process = fork.Process(target=work, args=(str(folder), provider, base_url, calls, failpoint, clock))
    await asyncio.to_thread(process.start)
    await asyncio.to_thread(process.join, LIMIT_SECONDS)
    assert process.exitcode is not None
    return process.exitcode


def work(folder: str, provider: str, base_url: str, calls: int, failpoint: str, clock: float) -> None:
    """In the child."""
    true_time = time.time
    time.time = lambda: true_time() + clock
    batching.SETTLE_SECONDS = 0.0
    arm(failpoint)
    asyncio.run(ask_all(Path(folder), provider, base_url, calls))
