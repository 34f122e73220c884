"""Measuring the judge itself: what sways it beside content, and how far it agrees with people."""

import argparse
import asyncio
from typing import TYPE_CHECKING

from castalia.cli.common import plain, print_facts, workspace_of
from castalia.oracle import open_oracle, role_config

if TYPE_CHECKING:
    from castalia.quality.bias import AnswerPair, PairVerdict
    from castalia.workspace import Workspace


def judge(options: argparse.Namespace) -> int:
    """Asks the configured judge about the pairs of a file, plain, in the other order, padded and with an injection."""
    from castalia.quality.bias import measure_bias
    from castalia.quality.pairs import agreement_with_people, read_pairs

    workspace = workspace_of(options)
    found = read_pairs(options.pairs, options.limit)
    verdicts = asyncio.run(_ask(workspace, [one.pair for one in found.pairs], offline=options.offline))
    biases = measure_bias(verdicts)
    kappa = agreement_with_people(found.pairs, verdicts)
    unusable = sum(verdict.won is None for verdict in verdicts)
    if options.json:
        print_facts(
            [{"bias": bias._asdict()} for bias in biases.values()]
            + [{"questions": len(verdicts), "unusable": unusable, "kappa": kappa and kappa._asdict(), "left_out": list(found.problems)}]
        )
        return 0
    role = role_config(workspace.config.oracles, "judge")
    print(
        f"judge {role.provider} {role.model}: {len(verdicts)} questions about {len(found.pairs)} pairs, {unusable} without a usable verdict"
    )
    for bias in biases.values():
        print(f"  {bias}")
    if kappa is not None:
        print(f"  agreement with people: kappa {kappa.mean:.2f} ({kappa.interval[0]:.2f} to {kappa.interval[1]:.2f})")
    for problem in found.problems[:10]:
        print(plain(f"left out: {problem}"))
    return 0


async def _ask(workspace: "Workspace", pairs: "list[AnswerPair]", *, offline: bool) -> "list[PairVerdict]":
    from castalia.engine.context import Context
    from castalia.quality.bias import PROMPT, judge_pairs

    execution = workspace.config.execution
    async with open_oracle(
        workspace.config.oracles, workspace.ledger, budget_usd=execution.budget_usd, concurrency=execution.concurrency, offline=offline
    ) as oracle:
        ctx = Context("judge", ("judge",), {PROMPT.stem: PROMPT}, oracle)
        return await judge_pairs(pairs, ctx, in_flight=execution.concurrency)
