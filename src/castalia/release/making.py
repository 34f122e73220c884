"""How the data of a release were made, read from what made them: settings may have changed since, the data have not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from castalia.engine import Params, RoleIdentity, Stage, StageState, stage_state
from castalia.engine.plan import resolve_params
from castalia.errors import CorruptObject, ReleaseRefused
from castalia.store import Store

_SAID = ("version", "params", "prompts", "oracle")


class Kept(NamedTuple):
    """A stage that was kept by a waiver, and everything that had changed since it ran."""

    stage: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Making:
    """The stages as they ran: version, params, prompt hashes and who answered; what else they read; what was kept by a waiver."""

    stages: Mapping[str, Mapping[str, Any]]
    inputs: Mapping[str, Mapping[str, Any]]
    kept: tuple[Kept, ...]

    @property
    def domain(self) -> str:
        """What the first stage that asks about a domain was told."""
        return next((str(made["params"]["domain"]) for made in self.stages.values() if "domain" in made["params"]), "")

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "domain": self.domain,
            "stages": {name: dict(made) for name, made in self.stages.items()},
            "inputs": {name: dict(made) for name, made in self.inputs.items()},
            "kept": [{"stage": kept.stage, "although": list(kept.reasons)} for kept in self.kept],
        }


def find_making(stages: Sequence[Stage], params: Mapping[str, Params], store: Store, role_identity: RoleIdentity | None) -> Making:
    """How what the store holds was made.

    Raises ReleaseRefused for the first stage that a run would not leave as it is: its data would be released as something
    that they are not. Raises CorruptObject when the store lost the record of how a stage ran.
    """
    made: dict[str, Mapping[str, Any]] = {}
    kept: list[Kept] = []
    for stage in stages:
        found = stage_state(stage, resolve_params(stage, params), store, role_identity)
        if found.state != "fresh":
            raise ReleaseRefused(_refusal(stage, found))
        output = store.manifest(next(iter(stage.writes)))
        parts = store.get_json(output.fingerprint, output.dataset)
        made[stage.name] = {name: parts[name] for name in _SAID}
        if output.fingerprint != found.fingerprint:
            in_force = [waiver.fingerprint for waiver in output.waivers].index(found.fingerprint)
            kept.append(Kept(stage.name, tuple(waiver.reason for waiver in output.waivers[: in_force + 1])))
    return Making(made, _inputs(stages, store), tuple(kept))


def inputs_of(stages: Sequence[Stage], store: Store) -> list[str]:
    """Datasets that stages read and no stage wrote."""
    written = {dataset for stage in stages for dataset in stage.outputs}
    return sorted({dataset for stage in stages for dataset in stage.reads if dataset not in written and store.has(dataset)})


def in_order(stages: Sequence[Stage], store: Store) -> list[str]:
    """All datasets in the order in which records are looked up: those of stages, their inputs and what was filed together with these, and
    only then others, which may be written anew at any time."""
    written = {dataset for stage in stages for dataset in stage.outputs}
    filed = {store.manifest(name).fingerprint for name in inputs_of(stages, store)}
    return sorted(store.names(), key=lambda name: (name not in written, store.manifest(name).fingerprint not in filed, name))


def _inputs(stages: Sequence[Stage], store: Store) -> dict[str, Mapping[str, Any]]:
    """The inputs with the note their writer left of how they were made."""
    return {name: {"content": store.manifest(name).content, "made_by": _note(store, name)} for name in inputs_of(stages, store)}


def _note(store: Store, name: str) -> Any:
    try:
        return store.get_json(store.manifest(name).fingerprint, name)
    except CorruptObject:
        return None  # its writer left no note: a dataset may be filed under any fingerprint


def _refusal(stage: Stage, found: StageState) -> str:
    if found.state == "stale":
        return (
            f"stage {stage.name!r} is stale: {found.reason}; a release would misstate how its data were made. "
            f"`castalia run --rebuild {stage.name}` makes it again, `castalia run --keep {stage.name}` records a waiver, which the "
            f"release then shows"
        )
    return f"stage {stage.name!r} is {found.state}: {found.reason}; a release holds only what a whole run made: `castalia run`"
