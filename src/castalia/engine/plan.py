"""What a run would do, why and at what price. Runs nothing, writes nothing."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from castalia.engine.fingerprint import RoleIdentity
from castalia.engine.pipeline_check import check_pipeline
from castalia.engine.stage import Params, Stage
from castalia.engine.state import StageState, State, stage_state, unchanged_prompts
from castalia.store import Manifest, Store

# (role, characters of a typical prompt) -> US dollars for one call; None where the model has no known price.
Price = Callable[[str, int], float | None]

# (stage, names of its prompts) -> how many answers to these prompts the ledger has from the models that would be asked now.
InLedger = Callable[[str, Collection[str]], int]


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a plan. `calls` and `usd` are None where they can't be estimated yet; a fresh stage costs nothing.

    `in_ledger` bounds how many of the calls are answered for nothing: an answer counts while its prompt file and model are the
    same, though a changed param or input may have made it another question. None where nobody looked.
    """

    name: str
    state: State
    reason: str
    calls: int | None
    usd: float | None
    in_ledger: int | None = None

    @property
    def decision(self) -> str:
        """Of a stale stage: why, at what price, and the two ways on."""
        return self.decide(self._price())

    def decide(self, price: str) -> str:
        """The same where more is known of the price: `price` says what rebuilding does, e.g. `asks about 8 calls`."""
        return (
            f"stage {self.name!r} is stale: {self.reason}; rebuilding {price}; "
            f"--rebuild {self.name} to make it again, or --keep {self.name} to record a waiver"
        )

    def _price(self) -> str:
        if self.calls == 0:
            return "asks no oracle"
        if self.calls is None:
            return "asks the oracle (`castalia plan` says how much)"
        text = f"asks about {self.calls:,} oracle calls"
        if self.in_ledger is None:
            return text + ("" if self.usd is None else f", at most about ${self.usd:,.2f} (answers already in the ledger are free)")
        text += f", up to {self.in_ledger:,} of them in the ledger" if self.in_ledger else ", none of them in the ledger"
        if self.usd is None:
            return text
        least = self.usd * (self.calls - self.in_ledger) / self.calls
        return text + (f", about ${self.usd:,.2f}" if not self.in_ledger else f", about ${least:,.2f} to ${self.usd:,.2f}")


def plan(
    stages: Sequence[Stage],
    params_by_stage: Mapping[str, Params],
    store: Store,
    *,
    role_identity: RoleIdentity | None = None,
    price: Price | None = None,
    in_ledger: InLedger | None = None,
) -> list[PlannedStage]:
    """The state of every stage in order. A stage below one that isn't fresh is blocked: its inputs are not known yet.

    Raises ConfigError when the stages don't fit together, StoreError when the store can't be read.
    """
    check_pipeline(stages)
    pending: dict[str, str] = {}
    planned: list[PlannedStage] = []
    for stage in stages:
        params = resolve_params(stage, params_by_stage)
        if waits := sorted({pending[dataset] for dataset in stage.reads if dataset in pending}):
            found = StageState("blocked", f"waits for {', '.join(map(repr, waits))}", {})  # its inputs may be damaged, and are made again
        else:
            found = stage_state(stage, params, store, role_identity)
        if found.state == "blocked":
            unknown = None if stage.roles(params) else 0
            step = PlannedStage(stage.name, "blocked", found.reason, unknown, unknown)
        elif found.state == "fresh":
            step = PlannedStage(stage.name, "fresh", found.reason, 0, 0.0)
        else:
            step = priced(stage, params, found, store, price, in_ledger)
        if step.state != "fresh":
            pending.update(dict.fromkeys(stage.outputs, stage.name))
        planned.append(step)
    return planned


def priced(stage: Stage, params: Params, found: StageState, store: Store, price: Price | None, in_ledger: InLedger | None) -> PlannedStage:
    """A stage that would run, with what it would ask and cost."""
    calls = estimate_calls(stage, params, found.inputs)
    usd = estimate_usd(stage, calls, found.inputs, price)
    known = None
    if in_ledger is not None and calls:
        known = min(calls, in_ledger(stage.name, unchanged_prompts(stage, found, store)))
    return PlannedStage(stage.name, found.state, found.reason, calls, usd, known)


def resolve_params(stage: Stage, params_by_stage: Mapping[str, Params]) -> Params:
    """The stage's params, its defaults where none were given."""
    return params_by_stage[stage.name] if stage.name in params_by_stage else stage.params()


def estimate_calls(stage: Stage, params: Params, inputs: Mapping[str, Manifest]) -> int | None:
    """Expected oracle calls, None where a whole stage doesn't say."""
    if not stage.roles(params):
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
