"""Training, measuring and deciding; and the closed loop, in which failures of round N become input of round N+1.

Each round: train on everything accepted, choose the best stage on DEV, hold the candidate against the promoted model on GATE. DEV picks
a checkpoint and is mined for failures; only GATE decides a promotion.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from castalia.datasets import make_datasets
from castalia.errors import InputError
from castalia.evaluation.contamination import find_leaks
from castalia.evaluation.decontaminate import training_text
from castalia.evaluation.gate import Decision
from castalia.evaluation.results import ItemResult
from castalia.evaluation.stopping import stop_reason
from castalia.measure import judge_candidate, measure, measure_native, store_failures, suite_items, target_style
from castalia.records import DATASETS, Record, Verdict
from castalia.release import accept
from castalia.sandbox import Sandbox
from castalia.training.models import prepare_base
from castalia.training.pipeline import StageCheck, best_model, train
from castalia.training.plan import Counts
from castalia.training.recipe import Recipe, StageName, load_recipe
from castalia.training.stage import write_atomically
from castalia.workspace import CHARACTERS_PER_TOKEN, Services, Workspace, make_release, run_stages

Listener = Callable[[Any], None]
_TRAINING_NAMES = {"sft": "sft", "preferences": "preference", "rewards": "reward", "replay": "replay"}


class Outcome(NamedTuple):
    """What a round brought. `new` is False when everything was there already."""

    decision: Decision
    candidate: Path
    new: bool

    @property
    def text(self) -> str:
        """The decision in one line."""
        made = self.decision
        verdict = "promoted" if made.promote else "not promoted"
        return (
            f"round {made.round}: {verdict}; GATE {100 * made.before:.1f} % -> {100 * made.after:.1f} %, difference "
            f"{100 * made.difference:+.1f} points, 95 % interval {100 * made.interval_low:+.1f} to {100 * made.interval_high:+.1f}"
        )


def training_data(workspace: Workspace) -> dict[str, Sequence[Record]]:
    """What passed quality control, by the names training uses. Raises ReleaseRefused as a release would."""
    store = workspace.store
    if not store.has("verdicts"):
        raise InputError("there is nothing to train on yet: `castalia run` makes the datasets")
    datasets = {dataset: list(store.read_dataset(dataset, record)) for dataset, record in DATASETS.items()}
    accepted = accept(datasets, list(store.read_dataset("verdicts", Verdict)))
    return {_TRAINING_NAMES[dataset]: records for dataset, records in accepted.records.items()}


def training_counts(workspace: Workspace) -> Counts:
    """Records by stage as far as they exist, for plans. Lengths are estimated from characters."""
    if not workspace.store.has("verdicts"):
        return Counts()
    data = training_data(workspace)
    texts = [training_text(record) for records in data.values() for record in records]
    mean = sum(len(text.prompt) + len(text.answer) for text in texts) // max(1, len(texts)) // CHARACTERS_PER_TOKEN
    return Counts(**{name: len(records) for name, records in data.items()}, mean_tokens=max(1, mean))


def recipe_of(workspace: Workspace) -> Recipe:
    """The recipe that the configuration names, for the target it names. Raises ConfigError, InputError."""
    if workspace.config.training is None:
        raise InputError("no recipe is configured: set `training: recipe.yaml`; examples/ has one for two cores and one for 80 GB GPUs")
    target = workspace.config.target
    return load_recipe(Path(workspace.config.training)).model_copy(update={"base": target.model, "style": target_style(workspace)})


def train_and_decide(
    workspace: Workspace, sandbox: Sandbox, *, number: int = 1, data: Mapping[str, Sequence[Record]] | None = None, on_event: Listener
) -> Outcome:
    """One round: train, measure, decide. Finished parts are not done again; an interrupted training resumes.

    Raises TrainingRefused when training data leaks a GATE or VAULT item, or a stage of the recipe has no data.
    """
    recipe = recipe_of(workspace)
    out = workspace.training / f"round-{number}"
    base = prepare_base(recipe.base, workspace.training / "base")
    promoted = _promoted_before(workspace, number, base)
    protected = [item for item in suite_items(workspace) if item.bank != "dev"]
    before_dev, new = measure(workspace, sandbox, "base", base, "dev")
    best = _mean(before_dev)

    def leaks(records: Sequence[Record]) -> Sequence[str]:
        return sorted({leak.record for leak in find_leaks([training_text(record) for record in records], protected)})

    def check(folder: Path, stage: StageName) -> StageCheck:
        nonlocal best, new
        results, made = measure(workspace, sandbox, f"stage.{stage}", folder, "dev")
        new = new or made
        score = _mean(results)
        kept = score >= best
        reason = f"DEV {100 * score:.1f} %, best before {100 * best:.1f} %"
        best = max(best, score)
        return StageCheck(kept, reason)

    records = data or training_data(workspace)
    if not records["replay"]:  # before the first failures are corrected there is nothing to replay
        recipe = recipe.model_copy(update={"consolidate": None})
    train(recipe, records, base, out, protected=leaks, sandbox=sandbox, on_event=on_event, check=check)
    candidate = best_model(out)
    _, dev_new = measure(workspace, sandbox, "candidate", candidate, "dev")
    before, before_new = measure(workspace, sandbox, "base" if promoted == base else "promoted", promoted, "gate")
    after, after_new = measure(workspace, sandbox, "candidate", candidate, "gate")
    decision = judge_candidate(workspace, before, after, number)
    _keep_promotion(workspace, candidate if decision.promote else None, number)
    native_new = measure_native(workspace, sandbox, base)
    return Outcome(decision, candidate, new or dev_new or before_new or after_new or native_new)


async def run_loop(workspace: Workspace, services: Services, *, rounds: int, on_event: Listener) -> list[Outcome]:
    """Rounds until the stop rule, the budget or `rounds` ends them. Killed anywhere, it goes on with the round it was in.

    Returns all rounds so far; a loop that has stopped stays stopped. Raises what the stages, a release or the training raise.
    """
    outcomes = _finished_rounds(workspace)
    if loop_state(workspace).get("stopped"):
        return outcomes
    for number in range(len(outcomes) + 1, rounds + 1):
        if outcomes:
            results, _ = measure(workspace, services.sandbox, "candidate", outcomes[-1].candidate, "dev")
            store_failures(workspace, results, f"round {number - 1}")
            await run_stages(workspace, services, rebuild=("build_replay",), on_event=on_event)
        else:
            await _first_datasets(workspace, services, on_event)
        make_release(workspace)
        outcomes.append(train_and_decide(workspace, services.sandbox, number=number, on_event=on_event))
        stats = services.oracle.stats()
        reason = stop_reason([outcome.decision for outcome in outcomes], usd_left=stats.usd_left, usd_per_round=stats.usd / number)
        _write_state(workspace, outcomes, reason)
        if reason:
            break
    return outcomes


async def _first_datasets(workspace: Workspace, services: Services, on_event: Listener) -> None:
    """The datasets of round 1. The base target's own failures are its first replay set, unless recorded ones were configured."""
    if workspace.config.evaluation.recorded_answers is None and not workspace.store.has("failures"):
        await make_datasets(workspace, services, until="design_suite", on_event=on_event)
        base = prepare_base(recipe_of(workspace).base, workspace.training / "base")
        results, _ = measure(workspace, services.sandbox, "base", base, "dev")
        store_failures(workspace, results, base.name)
    await make_datasets(workspace, services, on_event=on_event)


def loop_state(workspace: Workspace) -> Mapping[str, Any]:
    """Rounds done and why the loop stopped, as `run_loop` left it; empty before the first round."""
    path = workspace.training / "loop.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _finished_rounds(workspace: Workspace) -> list[Outcome]:
    rounds = loop_state(workspace).get("rounds", ())
    return [Outcome(Decision.model_validate(done["decision"]), Path(done["candidate"]), new=False) for done in rounds]


def _write_state(workspace: Workspace, outcomes: Sequence[Outcome], reason: str | None) -> None:
    rounds = [{"decision": outcome.decision.model_dump(mode="json"), "candidate": str(outcome.candidate)} for outcome in outcomes]
    state = json.dumps({"rounds": rounds, "stopped": reason or ""}, indent=1)
    write_atomically(workspace.training / "loop.json", state)


def _mean(results: Sequence[ItemResult]) -> float:
    return sum(result.value for result in results) / len(results) if results else 0.0


def _promoted_before(workspace: Workspace, number: int, base: Path) -> Path:
    """The model that round `number` has to beat: the last one promoted in an earlier round, else the base."""
    earlier = [entry for entry in _promotions(workspace) if entry["round"] < number]
    return Path(earlier[-1]["folder"]) if earlier else base


def _keep_promotion(workspace: Workspace, candidate: Path | None, number: int) -> None:
    """Notes the promoted model of a round, or that the round promoted none."""
    entries = [entry for entry in _promotions(workspace) if entry["round"] < number]
    if candidate is not None:
        entries.append({"round": number, "folder": str(candidate)})
    write_atomically(workspace.training / "promoted.json", json.dumps(entries, indent=1))


def _promotions(workspace: Workspace) -> list[dict[str, Any]]:
    path = workspace.training / "promoted.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
