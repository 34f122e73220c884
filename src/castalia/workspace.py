"""A configuration opened for work: its store, and on demand its oracle, web and sandbox."""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from castalia.config import Config
from castalia.engine import Event, Params, Price, RoleIdentity, RunReport, Stage, run_pipeline
from castalia.errors import ConfigError
from castalia.oracle import OracleClient, judge_is_writer, open_ledger, open_oracle, role_config
from castalia.pipeline import all_stages, stage_params
from castalia.quality.labels import read_labels
from castalia.records import Label, content_hash
from castalia.release import Release, publish
from castalia.sandbox import Sandbox
from castalia.store import Store, open_store, write_file
from castalia.web import Web, open_web
from castalia.web.search.settings import open_providers

CHARACTERS_PER_TOKEN = 4  # of English and code, for estimates only


@dataclass(frozen=True)
class Workspace:
    """Everything one configuration works with. Folders: `store`, `ledger.sqlite`, `archive/`, `releases/`, `training/`."""

    config: Config
    folder: Path
    store: Store
    stages: tuple[Stage, ...]
    params: Mapping[str, Params]

    @property
    def ledger(self) -> Path:
        """The ledger of paid answers."""
        return self.folder / "ledger.sqlite"

    @property
    def releases(self) -> Path:
        """Released datasets, one folder per version."""
        return self.folder / "releases"

    @property
    def pending(self) -> Path:
        """Tasks that the last run found no recorded answer for."""
        return self.folder / "pending.jsonl"

    @property
    def frozen_suite(self) -> Path:
        """Hashes of the evaluation suite as it was frozen."""
        return self.folder / "suite.json"

    @property
    def training(self) -> Path:
        """Base model, stages and checkpoints."""
        return self.folder / "training"

    @property
    def labels(self) -> Path:
        """What people said in reviews, one line a label."""
        return self.folder / "labels.jsonl"

    @property
    def archive(self) -> Path:
        """Pages as received."""
        return self.folder / "archive"


@dataclass(frozen=True)
class Services:
    """What is open while stages run."""

    oracle: OracleClient
    sandbox: Sandbox
    by_name: Mapping[str, Any]


def open_workspace(config: Config) -> Workspace:
    """Opens the store of `config` and resolves the params of all stages; starts nothing.

    Raises ConfigError when the store is remote: ledger and archive need a local folder beside it.
    """
    if "://" in config.execution.store:
        raise ConfigError(f"execution.store is {config.execution.store!r}: the ledger and the page archive need a local folder; give one")
    folder = Path(config.execution.store).absolute()
    stages = all_stages()
    return Workspace(config, folder, open_store(folder / "store"), stages, stage_params(config, stages))


@asynccontextmanager
async def open_services(workspace: Workspace, *, offline: bool = False, archived: bool = False) -> AsyncGenerator[Services]:
    """The oracle, the web and the sandbox of a workspace, closed in reverse order. `offline` asks no model, `archived` fetches no page.

    Raises StoreError naming the holder when another run works on the store: ledger and archive are its alone, too.
    """
    with workspace.store.lock("castalia run"):
        pass  # the run takes it again, stage by stage; here it is asked first, because it knows who holds it
    config = workspace.config
    execution = config.execution
    with ExitStack() as plain:
        sandbox = plain.enter_context(Sandbox(config.sandbox.runners, tier=config.sandbox.tier))
        async with AsyncExitStack() as stack:
            oracle = await stack.enter_async_context(
                open_oracle(
                    config.oracles, workspace.ledger, budget_usd=execution.budget_usd, concurrency=execution.concurrency, offline=offline
                )
            )
            web = open_web_of(workspace, offline=archived)
            stack.push_async_callback(web.close)
            yield Services(oracle, sandbox, {"web": web, "sandbox": sandbox})


def open_web_of(workspace: Workspace, *, offline: bool = False) -> Web:
    """The web as the configuration allows it, over the workspace's archive; the caller closes it. Nothing is fetched yet, and `offline`
    nothing ever."""
    execution = workspace.config.execution
    # Those that layer 3 searches sources with are opened at the start, too: a key that is missing stops a run before it is paid for.
    searched = dict.fromkeys((*workspace.config.sources.search, *getattr(workspace.params.get("verify"), "search", ())))
    return open_web(
        workspace.archive,
        user_agent=execution.user_agent,
        connect_to=execution.connect_to,
        allow_private=execution.allow_private,
        rate_per_host=execution.pages_per_second,
        providers=open_providers(searched, workspace.config.search, workspace.config.sources.search_terms),
        sites=workspace.config.sources.sites,
        offline=offline,
    )


def role_identity(workspace: Workspace) -> RoleIdentity:
    """What of each oracle role enters fingerprints."""
    roles = workspace.config.oracles
    return lambda role, prompts: role_config(roles, role).identity(prompts)


async def run_stages(
    workspace: Workspace,
    services: Services,
    *,
    rebuild: Collection[str] = (),
    keep: Collection[str] = (),
    only: Collection[str] | None = None,
    until: str | None = None,
    price: Price | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
) -> RunReport:
    """Brings the datasets of the workspace up to date; see `castalia.engine.run_pipeline` for what it raises.

    The resolved configuration is saved beside the store, so that a run can be repeated.
    """
    save_resolved(workspace)
    return await run_pipeline(
        workspace.stages,
        store=workspace.store,
        params=workspace.params,
        oracle=services.oracle,
        services=services.by_name,
        rebuild=rebuild,
        keep=keep,
        only=only,
        until=until,
        on_event=on_event,
        role_identity=role_identity(workspace),
        price=price,
        in_flight=workspace.config.execution.concurrency,
        workers=workspace.config.execution.workers,
        engine=workspace.config.execution.engine,
    )


def save_resolved(workspace: Workspace) -> None:
    """Writes the resolved configuration as JSON: every default spelled out, secrets by the name of their variable only.

    Raises StorageFull, StoreError.
    """
    write_file(workspace.folder / "config.json", f"{workspace.config.model_dump_json(indent=2)}\n".encode())


def make_release(workspace: Workspace, name: str | None = None) -> Release:
    """Freezes what passed quality control and was not rejected by people, as the next run would find it. See `castalia.release.publish` for what it refuses.

    Raises StoreError naming the holder when a run works on the store.
    """
    with workspace.store.lock("castalia release"), open_ledger(workspace.ledger, readonly=True) as ledger:
        labels = read_labels(workspace.labels)
        if labels or workspace.store.has("labels"):
            workspace.store.write_dataset("labels", Label, labels, fingerprint=content_hash(sorted(label.id for label in labels)))
        return publish(
            workspace.store,
            workspace.releases,
            name or workspace.config.name,
            stages=workspace.stages,
            params=workspace.params,
            role_identity=role_identity(workspace),
            known_calls=lambda keys: {key for key in keys if ledger.lookup(key) is not None},
            settings=workspace.config.mix,
            judge_is_writer=judge_is_writer(workspace.config.oracles),
        )
