"""What a run would do, why and at what price. Runs nothing, writes nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from castalia.engine.fingerprint import RoleIdentity
from castalia.engine.pipeline_check import check_pipeline
from castalia.engine.stage import Params, Stage
from castalia.engine.state import State, stage_state
from castalia.store import Manifest, Store

# (role, characters of a typical prompt) -> US dollars for one call; None where the model has no known price.
Price = Callable[[str, int], float | None]


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a plan. `calls` and `usd` are None where they can't be estimated yet; a fresh stage costs nothing."""

    name: str
    state: State
    reason: str
    calls: int | None
    usd: float | None


def plan(
    stages: Sequence[Stage],
    params_by_stage: Mapping[str, Params],
    store: Store,
    *,
    role_identity: RoleIdentity | None = None,
    price: Price | None = None,
) -> list[PlannedStage]:
    """The state of every stage in order. A stage below one that isn't fresh is blocked: its inputs are not known yet.

    Raises ConfigError when the stages don't fit together, StoreError when the store can't be read.
    """
    check_pipeline(stages)
    pending: dict[str, str] = {}
    planned: list[PlannedStage] = []
    for stage in stages:
        params = resolve_params(stage, params_by_stage)
        waits = sorted({pending[dataset] for dataset in stage.reads if dataset in pending})
        found = stage_state(stage, params, store, role_identity)
        if waits or found.state == "blocked":
            reason = f"waits for {', '.join(map(repr, waits))}" if waits else found.reason
            unknown = None if stage.oracle else 0
            step = PlannedStage(stage.name, "blocked", reason, unknown, unknown)
        elif found.state == "fresh":
            step = PlannedStage(stage.name, "fresh", found.reason, 0, 0.0)
        else:
            calls = estimate_calls(stage, params, found.inputs)
            usd = estimate_usd(stage, calls, found.inputs, price)
            step = PlannedStage(stage.name, found.state, found.reason, calls, usd)
        if step.state != "fresh":
            pending.update(dict.fromkeys(stage.outputs, stage.name))
        planned.append(step)
    return planned


def resolve_params(stage: Stage, params_by_stage: Mapping[str, Params]) -> Params:
    """The stage's params, its defaults where none were given."""
    return params_by_stage[stage.name] if stage.name in params_by_stage else stage.params()


def estimate_calls(stage: Stage, params: Params, inputs: Mapping[str, Manifest]) -> int | None:
    """Expected oracle calls, None where a whole stage doesn't say."""
    if not stage.oracle:
        return 0
    records = inputs[stage.source].rows if stage.source in inputs else 0
    if stage.estimate:
        return stage.estimate(records, params)
    return records if stage.shape == "ask" else None


def estimate_usd(stage: Stage, calls: int | None, inputs: Mapping[str, Manifest], price: Price | None) -> float | None:
    """Expected US dollars at the price of the stage's dearest role; None where calls or price are unknown."""
    if calls == 0:
        return 0.0
    if calls is None or price is None:
        return None
    prices = [price(role, typical_prompt(stage, inputs)) for role in stage.oracle]
    return None if None in prices else calls * max(cost for cost in prices if cost is not None)


def typical_prompt(stage: Stage, inputs: Mapping[str, Manifest]) -> int:
    """Characters of a typical prompt: the longest prompt file and a mean record of the first input."""
    source = inputs.get(stage.source)
    record = source.characters // max(source.rows, 1) if source else 0
    return record + max((path.stat().st_size for path in stage.prompts), default=0)
