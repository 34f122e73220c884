"""The job: the stages from pages to single copies, run by the engine like any others, then the corpus written beside them.

A corpus folder is a workspace: `collect.yaml` names it for every other command, `work/` holds store and archive.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from castalia.config import Config, load_config
from castalia.corpus.export import REPORT, identity, write_corpus, written
from castalia.corpus.facts import CorpusFacts, Step
from castalia.engine import Event, RunReport, run_pipeline
from castalia.errors import ConfigError, StaleStage, StoreError
from castalia.oracle import OracleClient, open_oracle
from castalia.store import write_file
from castalia.web import Web
from castalia.web.search.settings import terms_of
from castalia.workspace import Workspace, open_web_of, open_workspace, role_identity, save_resolved

STAGES = ("collect", "normalize", "scrub", "deduplicate")
CONFIGURATION = "collect.yaml"
_DEFAULTS: Mapping[str, Any] = {"name": "corpus", "domain": "a corpus of licensed pages"}
_HEAD = "# What was collected here; any command takes it: castalia show pages --config {path}\n"


class Collected(NamedTuple):
    """What a call did. `facts` is the report as plain values."""

    facts: Mapping[str, Any]
    ran: tuple[str, ...]
    wrote: bool
    """Whether the corpus was written, or was there already."""
    seconds: float


def open_corpus(out: Path, files: Sequence[Path], assignments: Sequence[str], settings: Mapping[str, Any]) -> Workspace:
    """The workspace of a corpus folder. `settings` lie over the files. Raises ConfigError where no site is named, and as `load_config`."""
    work = {"execution": {"store": str((out / "work").absolute())}}
    layers = {key: {**value, **work.get(key, {})} for key, value in {**work, **settings}.items()}
    config = load_config(files, assignments, beneath=layers, defaults=_DEFAULTS)
    if not config.sources.sites and config.sources.search == ("site",):
        raise ConfigError(
            "no site is named: give URLs, e.g. `castalia collect https://docs.example.org/`, or sources.sites in a --config FILE"
        )
    return open_workspace(config)


async def collect_corpus(
    workspace: Workspace,
    out: Path,
    *,
    rebuild: Collection[str] = (),
    keep: Collection[str] = (),
    on_event: Callable[[Event], None] = lambda _: None,
) -> Collected:
    """Collects, cleans, scrubs and deduplicates what is not fresh, then writes the corpus to `out` where it changed.

    Raises StaleStage when `out` holds a corpus of other settings, and whatever the stages and the store raise.
    """
    with workspace.store.lock("castalia collect"):
        pass  # asked before the archive, because it knows who holds it
    try:
        async with AsyncExitStack() as stack:
            web = open_web_of(workspace)
            stack.push_async_callback(web.close)
            oracle = await stack.enter_async_context(_oracle(workspace)) if _asks(workspace) else None
            ran = await _run(workspace, {"web": web}, oracle, out, rebuild, keep, on_event)
            facts, wrote = _write(workspace, out, web)
    except sqlite3.Error as error:
        raise StoreError(
            f"the page archive in {str(workspace.archive)!r} can't be used: {error}; check the room on the disk and the permissions, "
            f"then run the same command again"
        ) from error
    return Collected(facts, ran.ran, wrote, ran.seconds)


def _asks(workspace: Workspace) -> bool:
    """Whether a stage of the collection asks the oracle, which none does by default."""
    return any(stage.roles(workspace.params[stage.name]) for stage in workspace.stages if stage.name in STAGES)


def _oracle(workspace: Workspace) -> AbstractAsyncContextManager[OracleClient]:
    execution = workspace.config.execution
    return open_oracle(workspace.config.oracles, workspace.ledger, budget_usd=execution.budget_usd, concurrency=execution.concurrency)


async def _run(
    workspace: Workspace,
    services: Mapping[str, Any],
    oracle: OracleClient | None,
    out: Path,
    rebuild: Collection[str],
    keep: Collection[str],
    on_event: Callable[[Event], None],
) -> RunReport:
    try:
        return await run_pipeline(
            workspace.stages,
            store=workspace.store,
            params=workspace.params,
            oracle=oracle,
            services=services,
            role_identity=role_identity(workspace) if oracle is not None else None,
            rebuild=rebuild,
            keep=keep,
            only=STAGES,
            on_event=on_event,
            engine=workspace.config.execution.engine,
        )
    except StaleStage as error:
        raise StaleStage(f"{str(out)!r} holds a corpus of other settings: {error}; or name another folder with --out") from error


def _write(workspace: Workspace, out: Path, web: Web) -> tuple[Mapping[str, Any], bool]:
    # Only now: what a refused run asked for must not stand where the settings of the stored corpus stood.
    write_file(out / CONFIGURATION, (_HEAD.format(path=out / CONFIGURATION) + _sparse(workspace.config)).encode())
    save_resolved(workspace)
    made_from = identity(workspace.store, STAGES)
    known = written(out)
    if known is not None and known["made_from"] == made_from:
        return known, False
    sources = workspace.config.sources
    allowed = sources.licences if isinstance(sources.licences, str) else ", ".join(sources.licences)
    facts = CorpusFacts(sites=list(sources.sites), allowed=allowed, made_from=made_from)
    facts.steps = _steps(workspace)
    searched = [name for name in sources.search if name != "site"]
    terms = [(name, terms_of(web.provider(name), workspace.config.search.get(name))) for name in searched]
    facts.searches = [{"provider": name, **known._asdict()} for name, known in terms]
    facts.hosts = [host._asdict() for host in web.politeness()]
    write_corpus(workspace.store, web.archive, out, facts, STAGES)
    made = facts.to_json()
    write_file(out / REPORT, f"{json.dumps(made, ensure_ascii=False, indent=2)}\n".encode())
    return made, True


def _steps(workspace: Workspace) -> list[Step]:
    """Records by stage: what the dataset that goes on has, and what was rejected."""
    store, steps = workspace.store, list[Step]()
    for stage in workspace.stages:
        if stage.name in STAGES:
            kept, rejected = store.manifest(next(iter(stage.writes))).rows, store.manifest(stage.rejects).rows
            steps.append(Step(stage.name, steps[-1].kept if steps else kept + rejected, kept, rejected))
    return steps


def _sparse(config: Config) -> str:
    """The configuration as YAML without what is default anyway; the store by its place beside the file."""
    values = config.model_dump(mode="json", exclude_defaults=True)
    values["execution"]["store"] = "work"
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
