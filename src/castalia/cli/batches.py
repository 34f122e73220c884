"""Batches under way on the command line: how they stand, what to do about each, and waiting for them."""

import argparse
import asyncio
import time
from collections.abc import Sequence
from typing import Any

from castalia.cli.common import plain, print_facts, print_table, short_moment, this_command
from castalia.errors import ConfigError, InputError
from castalia.oracle import Ledger, OracleClient, open_oracle
from castalia.oracle.ledger.submissions import Submission
from castalia.workspace import Workspace

POLL_SECONDS = 30.0
"""From one look at the provider to the next; vendors ask for no more than two a minute."""


def print_batches(ledger: Ledger, batches: Sequence[Submission], options: argparse.Namespace) -> None:
    """A table of them, and what can be done."""
    print_table(
        ("batch", "at", "calls", "sent (UTC)", "age", "how it stands"),
        (
            (
                batch.remote or "-", batch.base_url, f"{batch.calls:,}", short_moment(batch.prepared_at),
                _age(time.time() - batch.prepared_at), _standing(ledger, batch),
            )
            for batch in batches
        ),
    )  # fmt: skip
    print(f"wait for them with: {this_command(options, '--wait')}, or come back later; `castalia run` takes in what is there")


def batch_facts(ledger: Ledger, batch: Submission) -> dict[str, Any]:
    """The same for machines."""
    return {**batch._asdict(), "age_seconds": round(time.time() - batch.prepared_at, 3), "how_it_stands": _standing(ledger, batch)}


def _standing(ledger: Ledger, batch: Submission) -> str:
    if batch.state == "open":
        return "the provider has it; results take up to a day"
    if ledger.is_alive(batch.owner):
        return "another process is sending it"
    return "its process died while it sent it; the next run looks for it at the provider, and sends it if it isn't there"


def _age(seconds: float) -> str:
    minutes = max(0, round(seconds / 60))
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def wait_for_batches(workspace: Workspace, options: argparse.Namespace) -> int:
    """Looks at the batches under way now and then, until all have ended. Ctrl-C ends the wait and nothing else."""
    if not workspace.ledger.is_file():
        raise InputError(f"there is no ledger yet at {str(workspace.ledger)!r}; `castalia run` makes one with its first call")
    config = workspace.config

    async def work() -> None:
        async with open_oracle(
            config.oracles, workspace.ledger, budget_usd=config.execution.budget_usd, concurrency=config.execution.concurrency
        ) as oracle:
            await _wait(oracle, options)

    asyncio.run(work())
    return 0


async def _wait(oracle: OracleClient, options: argparse.Namespace) -> None:
    told: set[str] = set()
    if not oracle.ledger.submissions(living=True):
        print_facts([{"batches": 0}]) if options.json else print("no batch is under way")
        return
    while True:
        for note in await oracle.look_at_batches():
            if note not in told:
                told.add(note)
                print_facts([{"note": note}]) if options.json else print(plain(note), flush=True)
        living = oracle.ledger.submissions(living=True)
        strange = [batch for batch in living if not oracle.has_account(batch)]
        if strange:
            raise ConfigError(
                f"batch {strange[0].remote or strange[0].id} at {strange[0].base_url} can't be looked at: no role of this configuration has "
                f"`batch: true`, provider {strange[0].provider!r}, this address and the key it was sent with"
            )
        if not living:
            print_facts([{"batches": 0}]) if options.json else print("no batch is under way any more; go on with: castalia run")
            return
        await asyncio.sleep(POLL_SECONDS)
