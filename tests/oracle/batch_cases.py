"""One run over a role that asks by batch."""

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

from oracle_cases import Point, client, role, task

from castalia.errors import MissingRecording
from castalia.oracle import Reply


class Ran(NamedTuple):
    """What a run gave."""

    results: list[Any]
    """A reply or an error for every call."""
    notes: list[str]

    @property
    def replies(self) -> list[Reply[Point]]:
        return [result for result in self.results if isinstance(result, Reply)]


async def ask_all(folder: Path, provider: str, base_url: str, calls: int, budget: float | None = 5.0, **changes: Any) -> Ran:
    """Asks for every call once, as a stage does: it goes on past answers that are missing, and fails with them at its end."""
    oracle = client(folder, role(base_url, provider, **{"batch": True, **changes}), budget_usd=budget)
    results: list[Any] = []
    try:
        async with oracle:
            asks = (oracle.ask("writer", "You extract.", f"Extract {n}.", Point, task=task(str(n))) for n in range(calls))
            results += await asyncio.gather(*asks, return_exceptions=True)
            missing = next((result for result in results if isinstance(result, MissingRecording)), None)
            if missing is not None:
                raise missing
    except MissingRecording:
        pass
    return Ran(results, oracle.batch_notes)
