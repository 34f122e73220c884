"""Whether a stage's datasets are what the stage would make now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from castalia.engine.fingerprint import Parts, RoleIdentity, explain_change, fingerprint, fingerprint_parts
from castalia.engine.stage import Params, Stage
from castalia.errors import CorruptObject, StoreError
from castalia.store import Manifest, Store

State = Literal["fresh", "missing", "stale", "blocked"]


@dataclass(frozen=True)
class StageState:
    """What the store says of one stage.

    fresh    every output was made under this identity, or was kept under it by a waiver
    missing  there is no output, or its last publication was interrupted half-way: running it needs no decision
    stale    there is output of another identity: somebody has to decide
    blocked  an input that it needs is not there
    """

    state: State
    reason: str
    inputs: Mapping[str, Manifest]
    fingerprint: str = ""
    parts: Parts | None = None


def stage_state(stage: Stage, params: Params, store: Store, role_identity: RoleIdentity | None) -> StageState:
    """The state of a stage against what the store holds. Reads manifests only. Raises ConfigError, StoreError."""
    inputs = {dataset: store.manifest(dataset) for dataset in stage.reads if store.has(dataset)}
    absent = [dataset for dataset in stage.reads if dataset not in inputs and dataset not in stage.optional]
    if absent:
        return StageState("blocked", f"waits for {', '.join(map(repr, absent))}", inputs)
    parts = fingerprint_parts(stage, params, {dataset: manifest.content for dataset, manifest in inputs.items()}, role_identity)
    wanted = fingerprint(parts)
    try:
        outputs = {dataset: store.manifest(dataset) for dataset in stage.outputs if store.has(dataset)}
    except CorruptObject as error:
        # Not raised: rebuilding this very stage is the cure.
        return StageState("stale", str(error), inputs, wanted, parts)
    accepted = [dataset for dataset, manifest in outputs.items() if manifest.accepts(wanted)]
    if len(accepted) == len(stage.outputs):
        return StageState("fresh", "nothing changed", inputs, wanted, parts)
    if not outputs:
        return StageState("missing", "it has not run yet", inputs, wanted, parts)
    if accepted:
        return StageState("missing", "its last publication was interrupted", inputs, wanted, parts)
    return StageState("stale", _reason(store, next(iter(outputs.values())), parts), inputs, wanted, parts)


def unchanged_prompts(stage: Stage, found: StageState, store: Store) -> frozenset[str]:
    """Names of the stage's prompts that are what they were when its outputs were made; none where that can't be known."""
    before, now = _before(stage, found, store, waived=False), found.parts
    if before is None or now is None:
        return frozenset()
    prompts = before.get("prompts", {})
    return frozenset(path.stem for path in stage.prompts if prompts.get(path.name) == now["prompts"][path.name])


def changed_inputs(stage: Stage, found: StageState, store: Store) -> frozenset[str]:
    """Names of the inputs by which a stale stage differs from what its outputs were made from, if nothing else differs; none otherwise."""
    before, now = _before(stage, found, store, waived=True), found.parts
    if before is None or now is None or list(explain_change({**before, "inputs": now["inputs"]}, now)):
        return frozenset()
    old, new = before.get("inputs", {}), now["inputs"]
    return frozenset(name for name in {*old, *new} if old.get(name) != new.get(name))


def _before(stage: Stage, found: StageState, store: Store, *, waived: bool) -> Parts | None:
    """What a stale stage's outputs were made under, or with `waived` were kept under last; None where that can't be read."""
    if found.state != "stale":
        return None
    try:
        made = next(store.manifest(dataset) for dataset in stage.outputs if store.has(dataset))
        return store.get_json(_known(made) if waived else made.fingerprint, made.dataset)
    except StoreError:
        return None


def _known(manifest: Manifest) -> str:
    """The identity to compare with: after a waiver the one that was waived last."""
    return manifest.waivers[-1].fingerprint if manifest.waivers else manifest.fingerprint


def _reason(store: Store, manifest: Manifest, parts: Parts) -> str:
    try:
        changes = list(explain_change(store.get_json(_known(manifest), manifest.dataset), parts))
    except StoreError as error:
        return f"what {manifest.dataset!r} was made from can't be read: {error}"
    return "; ".join(changes) or "its outputs are incomplete"
