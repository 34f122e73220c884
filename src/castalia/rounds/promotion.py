"""One round: train on everything accepted, choose the best stage on DEV, hold the candidate against the promoted model on GATE.

DEV picks a checkpoint and is mined for failures; only GATE decides a promotion. Which round it is follows from what is trained: the same
recipe and records are the round they were before, resumed where it was interrupted or found finished; other ones begin the next round
and are compared with the model promoted last. Every decision on GATE is a look and uses up a share of the error budget, in whichever
round: a repeated try is never free. A decision that was made stays, and making the same comparison again is no look.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from castalia.evaluation.contamination import find_leaks
from castalia.evaluation.decontaminate import training_text
from castalia.evaluation.gate import Decision, comparison, decide, standard_guards
from castalia.evaluation.results import ItemResult
from castalia.records import Record
from castalia.rounds.inputs import release_of, resolved_recipe, training_data
from castalia.rounds.measure import decision_fingerprint, measure, measure_native, suite_items
from castalia.rounds.record import Round, candidate_of, decided_rounds, note_decision, open_round, promoted_model, round_folder
from castalia.sandbox import Sandbox
from castalia.store import folder_hash
from castalia.store.lock import hold_lock
from castalia.training.models import prepare_base
from castalia.training.pipeline import DATASET_OF, StageCheck, best_model, train
from castalia.training.recipe import Recipe, StageName
from castalia.workspace import Workspace

Listener = Callable[[Any], None]


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


def train_and_decide(workspace: Workspace, sandbox: Sandbox, *, on_event: Listener) -> Outcome:
    """The round of the present recipe and records, brought to its decision. Finished parts are not done again.

    Records and recipe of an earlier round than the last give that round's outcome, as it was. Raises TrainingRefused when training
    data leaks a GATE or VAULT item, or a stage of the recipe has no data; StoreError naming the process that trains here already.
    """
    with hold_lock(workspace.training, "training"):
        return _train_and_decide(workspace, sandbox, on_event)


def _train_and_decide(workspace: Workspace, sandbox: Sandbox, on_event: Listener) -> Outcome:
    data = training_data(workspace)
    recipe = resolved_recipe(workspace, data)
    base = prepare_base(recipe.base, workspace.training / "base")
    this = _round_of(workspace, recipe, data, base)
    if this.decision is not None and this.number != decided_rounds(workspace)[-1].number:
        return Outcome(this.decision, candidate_of(workspace, this), new=False)
    candidate = _train(workspace, sandbox, this, data, base, on_event) if this.decision is None else candidate_of(workspace, this)
    promoted = promoted_model(workspace, before=this.number) or base
    _, dev_new = measure(workspace, sandbox, "candidate", candidate, "dev")
    before, _ = measure(workspace, sandbox, "base" if promoted == base else "promoted", promoted, "gate")
    after, _ = measure(workspace, sandbox, "candidate", candidate, "gate")
    decision = judge(workspace, before, after, this.number)
    made = decision != this.decision
    if made:
        note_decision(workspace, this, decision, candidate)
    native_new = measure_native(workspace, sandbox, base)
    return Outcome(decision, candidate, new=made or dev_new or native_new)


def judge(workspace: Workspace, before: Sequence[ItemResult], after: Sequence[ItemResult], number: int) -> Decision:
    """The gate's decision in round `number`: the one already made on exactly these results, else a new look.

    It is stored in dataset `decisions`, where all looks stay, before anybody is told.
    """
    earlier = list(workspace.store.read_dataset("decisions", Decision)) if workspace.store.has("decisions") else []
    guards = standard_guards(workspace.config.evaluation.guards)
    same = comparison(before, after, guards)
    known = next((past for past in earlier if past.round == number and past.compared == same), None)
    if known is not None:
        return known
    decision = decide(before, after, number, guards, look=len(earlier) + 1)
    fingerprint = decision_fingerprint(number, before, after)
    workspace.store.write_dataset("decisions", Decision, [*earlier, decision], fingerprint=fingerprint)
    return decision


def _round_of(workspace: Workspace, recipe: Recipe, data: Mapping[str, Sequence[Record]], base: Path) -> Round:
    records: dict[StageName, Sequence[Record]] = {stage: data[DATASET_OF[stage]] for stage, _ in recipe.stages()}
    release = release_of(workspace, data)
    return open_round(workspace, recipe, records, earlier=data["sft"], base=folder_hash(base), release=release)


def _train(
    workspace: Workspace, sandbox: Sandbox, this: Round, data: Mapping[str, Sequence[Record]], base: Path, on_event: Listener
) -> Path:
    """Trains what of the round is not trained yet; returns the stage that DEV found best, or the base."""
    protected = [item for item in suite_items(workspace) if item.bank != "dev"]
    best = _mean(measure(workspace, sandbox, "base", base, "dev")[0])

    def leaks(records: Sequence[Record]) -> Sequence[str]:
        return sorted({leak.record for leak in find_leaks([training_text(record) for record in records], protected)})

    def check(folder: Path, stage: StageName) -> StageCheck:
        nonlocal best
        score = _mean(measure(workspace, sandbox, f"stage.{stage}", folder, "dev")[0])
        kept = score >= best
        reason = f"DEV {100 * score:.1f} %, best before {100 * best:.1f} %"
        best = max(best, score)
        return StageCheck(kept, reason)

    out = round_folder(workspace, this.number)
    train(this.recipe, data, base, out, protected=leaks, sandbox=sandbox, on_event=on_event, check=check)
    return best_model(out)


def _mean(results: Sequence[ItemResult]) -> float:
    return sum(result.value for result in results) / len(results) if results else 0.0
