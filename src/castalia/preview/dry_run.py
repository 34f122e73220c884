"""What would be asked now, written down instead of sent.

Every stage that could start runs against an oracle that answers from the ledger and notes every other question. A stage stops at its
first question without an answer, so follow-up questions (repairs, further turns, verdicts on answers) are not among them.
"""

from collections.abc import Sequence
from inspect import isasyncgenfunction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from castalia.engine import PlannedStage, Stage
from castalia.engine.ask import run_ask
from castalia.engine.context import Context
from castalia.errors import MissingRecording
from castalia.oracle.dry import DryOracle, Question
from castalia.records import Record, canonical_json
from castalia.sandbox import Sandbox
from castalia.workspace import Workspace


class Asked(NamedTuple):
    """What one stage would ask of one role."""

    stage: str
    role: str
    model: str
    calls: int
    answered: int
    """Questions of the stage that the ledger answers, whoever is asked."""
    worst_usd: float | None
    """None where the price is unknown."""


async def render_questions(workspace: Workspace, steps: Sequence[PlannedStage], file: Path) -> list[Asked]:
    """Writes one JSON line per question to `file`; returns the sums by stage and role. Sends nothing and publishes nothing."""
    stages = {stage.name: stage for stage in workspace.stages}
    # A stage that asks only in some cases asks about what it finds on the way, which a dry run doesn't.
    asking = {name for name, stage in stages.items() if stage.oracle and stage.asks is None}
    open_steps = [step for step in steps if step.state in ("missing", "stale") and step.name in asking]
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(file.name + ".part")
    found: list[Asked] = []
    config = workspace.config
    with (
        temporary.open("w", encoding="utf-8") as lines,
        Sandbox(config.sandbox.runners, tier=config.sandbox.tier) as sandbox,
        TemporaryDirectory() as empty,
    ):
        for step in open_steps:
            ledger = workspace.ledger if workspace.ledger.is_file() else Path(empty) / "ledger.sqlite"
            async with DryOracle(config.oracles, ledger) as oracle:
                await _ask_all(workspace, stages[step.name], oracle, {"sandbox": sandbox})
                for question in oracle.questions:
                    lines.write(canonical_json(question._asdict()) + "\n")
                found += _sums(step.name, oracle)
    temporary.replace(file)
    return found


async def _ask_all(workspace: Workspace, stage: Stage, oracle: DryOracle, services: dict[str, Any]) -> None:
    store, params = workspace.store, workspace.params[stage.name]
    inputs: dict[str, Sequence[Record]] = {
        name: store.read_dataset(name, kind) if store.has(name) else () for name, kind in stage.reads.items()
    }
    side = {name: records if name == stage.source else tuple(records) for name, records in inputs.items() if stage.shape == "ask"}
    ctx = Context(stage.name, stage.oracle, {path.stem: path for path in stage.prompts}, oracle, side, services)
    try:
        if stage.shape == "ask":
            await run_ask(stage, params, ctx, inputs[stage.source], add=lambda _: None, in_flight=64, advanced=lambda _: None)
        elif isasyncgenfunction(stage.run):
            async for _ in stage.run(inputs, params, ctx):
                pass
        else:
            for _ in stage.run(inputs, params, ctx):
                pass
    except MissingRecording:
        return  # expected: the questions are noted


def _sums(stage: str, oracle: DryOracle) -> list[Asked]:
    by_role: dict[tuple[str, str], list[Question]] = {}
    for question in oracle.questions:
        by_role.setdefault((question.role, question.model), []).append(question)
    if not by_role:
        return [Asked(stage, "", "", 0, oracle.answered, 0.0)] if oracle.answered else []
    return [Asked(stage, role, model, len(asked), oracle.answered, _worst(asked)) for (role, model), asked in sorted(by_role.items())]


def _worst(asked: Sequence[Question]) -> float | None:
    costs = [question.worst_usd for question in asked]
    return None if None in costs else sum(cost for cost in costs if cost is not None)
