"""A configuration opened for work: its store, and on demand its oracle, web and sandbox."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from castalia.config import Config
from castalia.engine import Params, Stage
from castalia.errors import ConfigError
from castalia.oracle import OracleClient, open_oracle
from castalia.pipeline import all_stages, stage_params
from castalia.sandbox import Sandbox, open_sandbox
from castalia.store import Store, open_store
from castalia.web import open_web


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
async def open_services(workspace: Workspace, *, offline: bool = False) -> AsyncIterator[Services]:
    """The oracle, the web and the sandbox of a workspace, closed in reverse order."""
    config = workspace.config
    execution = config.execution
    with ExitStack() as plain:
        sandbox = plain.enter_context(open_sandbox(config.sandbox.runners, tier=config.sandbox.tier))
        async with AsyncExitStack() as stack:
            oracle = await stack.enter_async_context(
                open_oracle(
                    config.oracles, workspace.ledger, budget_usd=execution.budget_usd, concurrency=execution.concurrency, offline=offline
                )
            )
            web = await stack.enter_async_context(
                open_web(
                    workspace.archive,
                    user_agent=execution.user_agent,
                    connect_to=execution.connect_to,
                    allow_private=execution.allow_private,
                    rate_per_host=execution.pages_per_second,
                )
            )
            yield Services(oracle, sandbox, {"web": web, "sandbox": sandbox})
