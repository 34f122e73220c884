"""Rounds of training as they lie on disk, and which models came of a record.

training/round-N/round.json      what the round trains from and, once the gate has spoken, its decision
training/round-N/records.json    ids of the records by stage
training/round-N/STAGE/          the stages, written by castalia.training
training/round-N/best.json       which stage DEV found best: the candidate

A round belongs to one *training*: recipe, records and base, hashed. The same training is the same round, to be resumed or found
finished. Another recipe or other records begin the next round in a folder of their own, so nothing that was trained is trained over;
a round whose training changed before it was decided stays behind undecided. Only a round in which no stage began gives its place up.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from castalia.errors import StoreError
from castalia.evaluation.gate import Decision
from castalia.records import Frozen, Record, content_hash
from castalia.training.recipe import Recipe, StageName
from castalia.training.stage import stage_fingerprint, write_atomically
from castalia.workspace import Workspace


class Round(Frozen):
    """One round: everything that decides its models, and what became of them."""

    number: int = Field(description="From 1.")
    training: str = Field(description="Hash of recipe, records and base: what makes two rounds the same.")
    recipe: Recipe = Field(description="The recipe, resolved.")
    base: str = Field(description="Hash of the model folder that the first stage starts from.")
    release: str = Field(default="", description="The release that holds exactly these records, NAME@vN; empty when none was made.")
    records: Mapping[str, int] = Field(description="Records by stage.")
    datasets: Mapping[str, str] = Field(description="Hash of the record ids by stage.")
    candidate: str = Field(default="", description="The candidate's folder below `training`, once decided.")
    decision: Decision | None = Field(default=None, description="The gate's latest decision on the candidate.")


class TrainedModel(NamedTuple):
    """A model of one stage that was trained on a record."""

    round: int
    stage: StageName
    folder: Path
    built_upon: bool
    """DEV found the stage no worse than what was before it, so the round's candidate contains it."""
    decision: Decision | None
    """On the round's candidate; None before the gate has spoken."""

    @property
    def shipped(self) -> bool:
        """Whether the gate promoted a model that contains this one."""
        return self.built_upon and self.decision is not None and self.decision.promote


def round_folder(workspace: Workspace, number: int) -> Path:
    """Where round `number` lies."""
    return workspace.training / f"round-{number}"


def all_rounds(workspace: Workspace) -> list[Round]:
    """Every round that was begun, by number. Raises StoreError when one can't be read."""
    return [_read(workspace, number) for number in _numbers(workspace) if (round_folder(workspace, number) / "round.json").is_file()]


def decided_rounds(workspace: Workspace) -> list[Round]:
    """The rounds whose candidate the gate has judged, by number."""
    return [one for one in all_rounds(workspace) if one.decision is not None]


def open_round(
    workspace: Workspace,
    recipe: Recipe,
    records: Mapping[StageName, Sequence[Record]],
    *,
    earlier: Sequence[Record],
    base: str,
    release: str = "",
) -> Round:
    """The round of exactly this training, begun now if there is none.

    `records` has those of each stage of the recipe, `earlier` the SFT examples that consolidation mixes in, `base` is the hash
    of the base's folder.
    """
    fingerprints = [
        stage_fingerprint(stage, recipe, records[stage], earlier if stage == "consolidate" else (), base) for stage, _ in recipe.stages()
    ]
    training = content_hash([base, fingerprints])
    known = next((one for one in all_rounds(workspace) if one.training == training), None)
    if known is not None:
        return known
    ids = {stage: [record.id for record in records[stage]] for stage, _ in recipe.stages()}
    begun = Round(
        number=max([number for number in _numbers(workspace) if _is_used(round_folder(workspace, number))], default=0) + 1,
        training=training,
        recipe=recipe,
        base=base,
        release=release,
        records={stage: len(listed) for stage, listed in ids.items()},
        datasets={stage: content_hash(listed) for stage, listed in ids.items()},
    )
    folder = round_folder(workspace, begun.number)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "records.json", json.dumps(ids, indent=1))
    _write(workspace, begun)
    return begun


def note_decision(workspace: Workspace, of: Round, decision: Decision, candidate: Path) -> Round:
    """Writes the decision and the candidate into the round."""
    decided = of.model_copy(update={"decision": decision, "candidate": candidate.relative_to(workspace.training).as_posix()})
    _write(workspace, decided)
    return decided


def candidate_of(workspace: Workspace, of: Round) -> Path:
    """The candidate's folder of a decided round."""
    return workspace.training / of.candidate


def promoted_model(workspace: Workspace, *, before: int | None = None) -> Path | None:
    """The model promoted last, or last before round `before`; None while no round was promoted."""
    promoted = [
        one for one in decided_rounds(workspace) if one.decision and one.decision.promote and (before is None or one.number < before)
    ]
    return candidate_of(workspace, promoted[-1]) if promoted else None


def latest_model(workspace: Workspace) -> Path | None:
    """The best model of the newest round that finished a stage, promoted or not."""
    for one in reversed(all_rounds(workspace)):
        folder = round_folder(workspace, one.number)
        stage = _json(folder / "best.json").get("stage")
        if stage is not None:
            return workspace.training / "base" if stage == "base" else folder / stage / "model"
    return None


def models_trained_on(workspace: Workspace, record_id: str) -> list[TrainedModel]:
    """The models of finished stages that were given this record, oldest first; [] when none was.

    A record that a stage left out for its length is not counted. Consolidation also draws on the SFT examples of its round; these
    are named for stage `sft` only.
    """
    found: list[TrainedModel] = []
    for one in all_rounds(workspace):
        folder = round_folder(workspace, one.number)
        text = (folder / "records.json").read_text(encoding="utf-8")
        if f'"{record_id}"' not in text:
            continue
        history = {entry["stage"]: entry["promoted"] for entry in _json(folder / "best.json").get("history", ())}
        by_stage: Mapping[StageName, Sequence[str]] = json.loads(text)
        for stage, ids in by_stage.items():
            result = _json(folder / stage / "stage.json")
            if record_id in ids and result and record_id not in result.get("too_long", ()):
                found.append(TrainedModel(one.number, stage, folder / stage / "model", bool(history.get(stage)), one.decision))
    return found


def _numbers(workspace: Workspace) -> list[int]:
    names = [path.name.removeprefix("round-") for path in workspace.training.glob("round-*")]
    return sorted(int(name) for name in names if name.isdigit())


def _is_used(folder: Path) -> bool:
    """Whether anything was trained in it. A round that was refused or killed before that gives its number to the next."""
    return any(path.is_dir() for path in folder.iterdir())


def _read(workspace: Workspace, number: int) -> Round:
    path = round_folder(workspace, number) / "round.json"
    try:
        return Round.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{str(path)!r} can't be read as a round: {error}; move the folder {path.parent.name!r} aside, and its training is made anew"
        ) from error


def _write(workspace: Workspace, one: Round) -> None:
    write_atomically(round_folder(workspace, one.number) / "round.json", one.model_dump_json(indent=1))


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
