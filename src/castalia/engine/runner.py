"""Runs stages in order: skips what is fresh, stops before what is stale, publishes a stage only when it is complete."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import isasyncgenfunction
from typing import Any, Literal

from castalia.engine.ask import run_ask
from castalia.engine.compute import Engine, run_map
from castalia.engine.context import Context
from castalia.engine.events import Event, StageAdvanced, StageFinished, StageSkipped, StageStarted
from castalia.engine.fingerprint import RoleIdentity, fingerprint_parts
from castalia.engine.outputs import Outputs
from castalia.engine.pipeline_check import check_names, check_pipeline, downstream
from castalia.engine.plan import PlannedStage, Price, resolve_params
from castalia.engine.stage import Params, Stage
from castalia.engine.state import StageState, stage_state
from castalia.errors import CastaliaError, ConfigError, StaleStage
from castalia.oracle import OracleClient
from castalia.records import Record
from castalia.store import Manifest, Store

ALL = "all"


@dataclass(frozen=True)
class StageReport:
    """What happened to one stage. `datasets` maps names to manifest hashes; `kept` counts the first that it writes, the others tell of that."""

    name: str
    action: Literal["ran", "fresh", "kept"]
    inputs: int
    kept: int
    rejected: int
    seconds: float
    datasets: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class RunReport:
    """What a run did, stage by stage."""

    stages: tuple[StageReport, ...]
    seconds: float

    @property
    def ran(self) -> tuple[str, ...]:
        """Names of the stages that did work."""
        return tuple(stage.name for stage in self.stages if stage.action == "ran")


@dataclass(frozen=True)
class _Run:
    """What stays the same during a run."""

    store: Store
    params: Mapping[str, Params]
    oracle: OracleClient | None
    services: Mapping[str, Any]
    role_identity: RoleIdentity | None
    price: Price | None
    on_event: Callable[[Event], None]
    in_flight: int
    workers: int | None
    engine: Engine


async def run_pipeline(
    stages: Sequence[Stage],
    *,
    store: Store,
    params: Mapping[str, Params],
    oracle: OracleClient | None = None,
    services: Mapping[str, Any] | None = None,
    rebuild: Collection[str] = (),
    keep: Collection[str] = (),
    only: Collection[str] | None = None,
    until: str | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
    role_identity: RoleIdentity | None = None,
    price: Price | None = None,
    in_flight: int = 16,
    workers: int | None = None,
    engine: Engine = "native",
) -> RunReport:
    """Brings the datasets of `stages` up to date and says what was done.

    `rebuild` names stages to run even if fresh, and lets everything downstream of them run where it became stale; `keep`
    names stale stages to leave as they are, recorded as a waiver; `all` stands for every stage. `only` runs just these
    stages on what the store holds, `until` ends after one. `in_flight`, `workers` and `engine` decide the speed only.

    Raises ConfigError before anything runs when the stages, their params or a name don't fit; StaleStage with reason and
    price; StoreError when another run holds the store; and what a stage raises, after its records in flight ended.
    """
    check_pipeline(stages)
    for names, flag in ((rebuild, "rebuild"), (keep, "keep")):
        check_names({*names} - {ALL}, stages, flag)
    check_names(only or (), stages, "only")
    check_names([until] if until else (), stages, "until")
    forced, kept = _expand(rebuild, stages), _expand(keep, stages)
    if forced & kept:
        raise ConfigError(f"{sorted(forced & kept)} are named both to rebuild and to keep; decide for one")
    allowed = downstream(forced, stages) - kept
    chosen = _chosen(stages, only, until)
    run = _Run(store, params, oracle, services or {}, role_identity, price, on_event, in_flight, workers, engine)
    _check_ready(chosen, run)
    started = time.monotonic()
    reports: list[StageReport] = []
    with store.lock("castalia run"):
        for stage in chosen:
            reports.append(await _bring_up_to_date(stage, run, forced, allowed, kept))
    return RunReport(tuple(reports), time.monotonic() - started)


def _expand(names: Collection[str], stages: Sequence[Stage]) -> set[str]:
    return {stage.name for stage in stages} if ALL in names else set(names)


def _chosen(stages: Sequence[Stage], only: Collection[str] | None, until: str | None) -> list[Stage]:
    last = [stage.name for stage in stages].index(until) + 1 if until else len(stages)
    return [stage for stage in stages[:last] if only is None or stage.name in only]


def _check_ready(stages: Sequence[Stage], run: _Run) -> None:
    """Raises ConfigError for what would stop the run later, when something was already paid."""
    written: set[str] = set()
    for stage in stages:
        params = resolve_params(stage, run.params)
        fingerprint_parts(stage, params, {}, run.role_identity)
        if stage.roles(params) and run.oracle is None:
            raise ConfigError(
                f"stage {stage.name!r} asks the roles {list(stage.roles(params))}, but no oracle was given; configure `oracles`"
            )
        for dataset in stage.reads:
            if dataset not in written and dataset not in stage.optional and not run.store.has(dataset):
                raise ConfigError(f"stage {stage.name!r} reads {dataset!r}, which nothing before it writes and the store doesn't hold")
        written.update(stage.outputs)


async def _bring_up_to_date(
    stage: Stage, run: _Run, forced: Collection[str], allowed: Collection[str], kept: Collection[str]
) -> StageReport:
    params = resolve_params(stage, run.params)
    found = stage_state(stage, params, run.store, run.role_identity)
    if found.state == "stale" and stage.name in kept:
        run.store.put_json(found.parts)
        for dataset in stage.outputs:
            if run.store.has(dataset):
                run.store.waive(dataset, found.fingerprint, found.reason)
        run.on_event(StageSkipped(stage.name, f"kept although {found.reason}"))
        return _report(stage, "kept", found, _current(stage, run.store), 0.0)
    if found.state == "stale" and stage.name not in allowed:
        raise StaleStage(_decision(stage, params, found, run.price))
    if found.state == "fresh" and stage.name not in forced:
        run.on_event(StageSkipped(stage.name, found.reason))
        return _report(stage, "fresh", found, _current(stage, run.store), 0.0)
    started = time.monotonic()
    try:
        with Outputs(stage, run.store, found.inputs) as outputs:
            await _run_stage(stage, params, found, run, outputs)
            run.store.put_json(found.parts)
            manifests = outputs.publish(found.fingerprint)
    except CastaliaError as error:
        raise _named(error, stage) from error.__cause__
    report = _report(stage, "ran", found, manifests, time.monotonic() - started)
    run.on_event(StageFinished(stage.name, report.kept, report.rejected, report.seconds))
    return report


def _decision(stage: Stage, params: Params, found: StageState, price: Price | None) -> str:
    step = PlannedStage(stage.name, found.state, found.reason)
    if not stage.roles(params):
        return step.decide("asks no oracle")
    return step.decide(price(step) if price else "asks the oracle")


async def _run_stage(stage: Stage, params: Params, found: StageState, run: _Run, outputs: Outputs) -> None:
    inputs: dict[str, Sequence[Record]] = {
        dataset: run.store.read_dataset(found.inputs[dataset].hash, record_type) if dataset in found.inputs else ()
        for dataset, record_type in stage.reads.items()
    }
    total = len(inputs[stage.source]) if stage.shape != "whole" else None

    def advanced(done: int) -> None:
        run.on_event(StageAdvanced(stage.name, done, total))

    run.on_event(StageStarted(stage.name, total))
    if stage.shape == "map":
        await _map(stage, params, inputs[stage.source], run, advanced, outputs)
        return
    side = {dataset: records if dataset == stage.source else tuple(records) for dataset, records in inputs.items() if stage.shape == "ask"}
    prompts = {path.stem: path for path in stage.prompts}
    ctx = Context(stage.name, stage.roles(params), prompts, run.oracle, side, run.services, advanced)
    if stage.shape == "ask":
        await run_ask(stage, params, ctx, inputs[stage.source], add=outputs.add, in_flight=run.in_flight, advanced=advanced)
        return
    async for output in _iterate(stage, stage.run(inputs, params, ctx)):
        outputs.add(output)


async def _map(
    stage: Stage, params: Params, records: Sequence[Record], run: _Run, advanced: Callable[[int], None], outputs: Outputs
) -> None:
    """Checks in = kept + rejected: each record comes back once, with at least one output."""
    done = 0
    for mapped in run_map(stage, params, records, workers=run.workers, engine=run.engine):
        for output in mapped.outputs:
            outputs.add(output)
        done += 1
        advanced(done)
        # Lets an interrupt and other tasks in between records.
        await asyncio.sleep(0)
    if done != len(records):
        raise ConfigError(
            f"stage {stage.name!r} was given {len(records)} records and {done} came back; run it again with `--set execution.workers=0`"
        )


async def _iterate(stage: Stage, outputs: Any) -> AsyncIterator[Record]:
    if isasyncgenfunction(stage.run):
        async for output in outputs:
            yield output
    else:
        plain: Iterable[Record] = outputs
        for output in plain:
            yield output
            await asyncio.sleep(0)


def _named(error: CastaliaError, stage: Stage) -> CastaliaError:
    """The same error, its message naming the stage."""
    if not str(error).startswith(f"stage {stage.name!r}"):
        error.args = (f"stage {stage.name!r}: {error}", *error.args[1:])
    return error


def _current(stage: Stage, store: Store) -> dict[str, Manifest]:
    return {dataset: store.manifest(dataset) for dataset in stage.outputs if store.has(dataset)}


def _report(
    stage: Stage, action: Literal["ran", "fresh", "kept"], found: StageState, manifests: Mapping[str, Manifest], seconds: float
) -> StageReport:
    kept = next((manifests[dataset].rows for dataset in stage.writes if dataset in manifests), 0)
    rejected = manifests[stage.rejects].rows if stage.rejects in manifests else 0
    inputs = found.inputs[stage.source].rows if stage.source in found.inputs else 0
    return StageReport(stage.name, action, inputs, kept, rejected, seconds, {name: manifest.hash for name, manifest in manifests.items()})
