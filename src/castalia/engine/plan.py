"""What a run would do and why. Runs nothing, writes nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from castalia.engine.fingerprint import RoleIdentity
from castalia.engine.pipeline_check import check_pipeline
from castalia.engine.stage import Params, Stage
from castalia.engine.state import StageState, State, stage_state
from castalia.store import Store


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a plan."""

    name: str
    state: State
    reason: str

    def decide(self, price: str) -> str:
        """Of a stale stage: why, at what price, and the two ways on. `price` says what rebuilding does, e.g. `asks about 8 calls`."""
        return (
            f"stage {self.name!r} is stale: {self.reason}; rebuilding {price}; "
            f"--rebuild {self.name} to make it again, or --keep {self.name} to record a waiver"
        )


Price = Callable[[PlannedStage], str]
"""What rebuilding a stale stage asks and costs, in the words that `PlannedStage.decide` takes."""


def plan(
    stages: Sequence[Stage],
    params_by_stage: Mapping[str, Params],
    store: Store,
    *,
    role_identity: RoleIdentity | None = None,
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
        step = PlannedStage(stage.name, found.state, found.reason)
        if step.state != "fresh":
            pending.update(dict.fromkeys(stage.outputs, stage.name))
        planned.append(step)
    return planned


def resolve_params(stage: Stage, params_by_stage: Mapping[str, Params]) -> Params:
    """The stage's params, its defaults where none were given."""
    return params_by_stage[stage.name] if stage.name in params_by_stage else stage.params()
