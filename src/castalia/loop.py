"""The closed loop: failures of round N become input of round N+1, until it no longer pays.

A round makes data, trains on everything accepted, and lets the gate decide (castalia.rounds.promotion). The corrections of earlier rounds stay
in the data, so that a later candidate does not forget what an earlier one practised. Rounds made by `castalia train` count like those made
here. What a round cost is read from the ledger, which knows it whatever was killed in between.

Why the loop ends is worked out again from decisions and money at every start: a loop that stopped stays stopped until one of these changes.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from castalia.datasets import make_datasets
from castalia.errors import ConfigError, StoreError
from castalia.evaluation.results import ItemResult
from castalia.evaluation.stopping import stop_reason
from castalia.records import Failure, Frozen
from castalia.rounds.inputs import recipe_of
from castalia.rounds.measure import failure_origin, measure, store_failures
from castalia.rounds.promotion import Outcome, train_and_decide
from castalia.rounds.record import candidate_of, decided_rounds
from castalia.training.models import prepare_base
from castalia.training.stage import write_atomically
from castalia.workspace import Services, Workspace, make_release

Listener = Callable[[Any], None]
_REPLAY = "build_replay"


class RoundCost(Frozen):
    """What the oracle was paid for one round."""

    round: int = Field(description="The how-manieth round, from 1.")
    usd: float = Field(description="US dollars, those of killed attempts included.")


class LoopState(Frozen):
    """What `training/loop.json` holds."""

    costs: tuple[RoundCost, ...] = Field(default=(), description="Finished rounds that this loop made.")
    open_round: int | None = Field(default=None, description="The round being made.")
    spent_before: float = Field(default=0.0, description="US dollars in the ledger when that round began.")
    stopped: str = Field(default="", description="Why the loop ended; empty while it goes on.")

    def begin(self, number: int, spent: float) -> "LoopState":
        """Round `number` is being made; `spent` is in the ledger. One that is open already keeps its beginning."""
        if self.open_round == number:
            return self
        return self.model_copy(update={"open_round": number, "spent_before": spent, "stopped": ""})

    def finish(self, done: int, spent: float) -> "LoopState":
        """Closes the open round if it is among the `done` first ones."""
        if self.open_round is None or self.open_round > done:
            return self
        cost = RoundCost(round=self.open_round, usd=max(0.0, spent - self.spent_before))
        return self.model_copy(update={"costs": (*self.costs, cost), "open_round": None})

    @property
    def usd_per_round(self) -> float:
        """What a further round costs: the mean of those so far without the first, which also made all datasets. 0 when unknown."""
        later = [cost.usd for cost in self.costs if cost.round > 1]
        return sum(later) / len(later) if later else 0.0


class LoopEnd(NamedTuple):
    """All rounds, and why there was no further one."""

    outcomes: Sequence[Outcome]
    stopped: str


async def run_loop(workspace: Workspace, services: Services, *, rounds: int, on_event: Listener) -> LoopEnd:
    """Rounds until the stop rule, the budget or `rounds` ends them. Killed anywhere, it goes on with the round it was in.

    Raises ConfigError for fewer rounds than one, and what the stages, a release or the training raise.
    """
    if rounds < 1:
        raise ConfigError(f"the loop was asked for {rounds} rounds; give at least 1 with --rounds")
    recipe_of(workspace)  # a recipe that can't be read is told before anything is paid
    while True:
        outcomes = _finished_rounds(workspace)
        state = loop_state(workspace).finish(len(outcomes), _spent(services))
        reason = stop_reason(
            [outcome.decision for outcome in outcomes], usd_left=services.oracle.stats().usd_left, usd_per_round=state.usd_per_round
        )
        if reason is not None or len(outcomes) >= rounds:
            break
        _write_state(workspace, state.begin(len(outcomes) + 1, _spent(services)))
        if outcomes:
            await _corrected_datasets(workspace, services, outcomes[-1], on_event)
        else:
            await _first_datasets(workspace, services, on_event)
        make_release(workspace)
        outcome = train_and_decide(workspace, services.sandbox, on_event=on_event)
        if outcome.decision.round in {past.decision.round for past in outcomes}:
            reason = f"nothing new: the failures of round {outcomes[-1].decision.round} brought no record that was not trained on before"
            break
    _write_state(workspace, state.model_copy(update={"open_round": None, "stopped": reason or ""}))
    return LoopEnd(outcomes, reason or f"the limit of {rounds} rounds")


def loop_state(workspace: Workspace) -> LoopState:
    """The loop as it was left; empty before the first round. Raises StoreError when its file is no state of a loop."""
    path = _state_file(workspace)
    if not path.is_file():
        return LoopState()
    try:
        return LoopState.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{str(path)!r} is no state of a loop: {error}; move it aside: only the cost of past rounds is lost") from error


async def _first_datasets(workspace: Workspace, services: Services, on_event: Listener) -> None:
    """The datasets of round 1. The base target's own failures are its first replay set, unless recorded ones were configured."""
    rebuild: tuple[str, ...] = ()
    if workspace.config.evaluation.recorded_answers is None:
        if not workspace.store.has("failures"):
            await make_datasets(workspace, services, until="design_suite", on_event=on_event)
            base = prepare_base(recipe_of(workspace).base, workspace.training / "base")
            results, _ = measure(workspace, services.sandbox, "base", base, "dev")
            store_failures(workspace, results, base.name, source="loop")
        rebuild = (_REPLAY,)  # a replay set made before there were failures knows none of them
    await make_datasets(workspace, services, rebuild=rebuild, on_event=on_event)


async def _corrected_datasets(workspace: Workspace, services: Services, last: Outcome, on_event: Listener) -> None:
    """The datasets with the last candidate's failures corrected, too.

    Failures that were stored before a kill stay: measured again, a GPU may word an answer otherwise, and the round would not be the same.
    """
    origin = failure_origin(workspace)
    if origin is None or origin.target != _up_to(last.decision.round):
        results, _ = measure(workspace, services.sandbox, "candidate", last.candidate, "dev")
        practise(workspace, results, last.decision.round)
    await make_datasets(workspace, services, rebuild=(_REPLAY,), on_event=on_event)


def practise(workspace: Workspace, results: Sequence[ItemResult], number: int) -> list[Failure]:
    """Stores the failures among DEV results of round `number` beside earlier ones that are mended now, which must stay so.

    Of an item that failed again only the newer answer is practised.
    """
    store = workspace.store
    mended = {result.item for result in results if result.passed}
    earlier = list(store.read_dataset("results.mined.dev", ItemResult)) if store.has("results.mined.dev") else []
    wrong = [*(result for result in results if not result.passed), *(result for result in earlier if result.item in mended)]
    return store_failures(workspace, wrong, _up_to(number), source="loop")


def _up_to(number: int) -> str:
    return f"round {number} and before"


def _finished_rounds(workspace: Workspace) -> list[Outcome]:
    rounds = decided_rounds(workspace)
    return [Outcome(one.decision, candidate_of(workspace, one), new=False) for one in rounds if one.decision is not None]


def _spent(services: Services) -> float:
    money = services.oracle.ledger.money()
    return money.spent + money.written_off


def _state_file(workspace: Workspace) -> Path:
    return workspace.training / "loop.json"


def _write_state(workspace: Workspace, state: LoopState) -> None:
    workspace.training.mkdir(parents=True, exist_ok=True)
    write_atomically(_state_file(workspace), state.model_dump_json(indent=1))
