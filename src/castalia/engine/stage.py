"""A stage: a plain function plus a frozen declaration that checks itself."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from castalia.errors import ConfigError
from castalia.records import Frozen, Record, Reject
from castalia.store import schema_text

Shape = Literal["map", "ask", "whole"]


class Params(Frozen):
    """Base of every stage's params: what decides the result. What decides only the speed is execution."""

    OWN: ClassVar[frozenset[str]] = frozenset()
    """Params that are set for the stage alone, although a general section of the configuration has a setting of that name."""


class ExecutingParams(Params):
    """Base of the params of a stage that runs code: what the code meets decides the result too."""

    runtime: tuple[str, ...] = Field(
        default=(), description="Hash of every runner's harness and version of every distribution in the sandbox; the pipeline fills it in."
    )


@dataclass(frozen=True)
class Stage:
    """What a stage reads, runs and writes. Nothing runs when it is constructed.

    shape   function                                                       for
    map     (record, params) -> Iterator[Record | Reject]                  pure, CPU-bound work; run in parallel
    ask     async (record, params, ctx) -> AsyncIterator[Record | Reject]  the oracle or the sandbox, record by record
    whole   (inputs, params, ctx) -> Iterator[Record | Reject], or async   whole datasets: crawls, duplicates, balance

    `reads` maps dataset names to record types. map and ask iterate the first; ask finds all in `ctx.side`;
    whole gets all of them as `inputs[name]`, sequences sorted by record id. `writes` likewise; a written record goes to the
    dataset of its type, a Reject to `NAME.rejects`, where NAME is the stage's. Datasets in `optional` may be absent and
    are empty then. Roles in `oracle` are fingerprinted with their model and sampling. With `asks` they are needed
    only under params of which it is true.
    """

    name: str
    version: int
    run: Callable[..., Any]
    params: type[Params]
    reads: Mapping[str, type[Record]]
    writes: Mapping[str, type[Record]]
    shape: Shape
    prompts: tuple[Path, ...] = ()
    oracle: tuple[str, ...] = ()
    optional: frozenset[str] = field(default_factory=frozenset[str])
    asks: Callable[[Any], bool] | None = None

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise ConfigError(f"stage {self.name!r} is declared wrongly: " + "; ".join(problems))

    @property
    def source(self) -> str:
        """The dataset that map and ask iterate: the first it reads. Empty for a stage that reads none."""
        return next(iter(self.reads), "")

    def roles(self, params: Params) -> tuple[str, ...]:
        """The oracle roles that it asks under `params`."""
        return self.oracle if self.asks is None or self.asks(params) else ()

    @property
    def rejects(self) -> str:
        """Name of the dataset of its rejects."""
        return f"{self.name}.rejects"

    @property
    def outputs(self) -> Mapping[str, type[Record]]:
        """Every dataset it publishes, rejects included."""
        return {**self.writes, self.rejects: Reject}


def _problems(stage: Stage) -> Iterator[str]:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", stage.name):
        yield "its name must be lower-case words joined by underscores"
    if stage.version < 1:
        yield f"version {stage.version} must be at least 1"
    is_async_generator = inspect.isasyncgenfunction(stage.run)
    if stage.shape == "ask" and not is_async_generator:
        yield f"an ask stage needs an async generator, {stage.run.__name__!r} is none"
    if stage.shape == "map" and not inspect.isgeneratorfunction(stage.run):
        yield f"a map stage needs a generator, {stage.run.__name__!r} is none"
    if stage.shape == "whole" and not (is_async_generator or inspect.isgeneratorfunction(stage.run)):
        yield f"a whole stage needs a generator, {stage.run.__name__!r} is none"
    if stage.shape != "whole" and not stage.reads:
        yield "map and ask stages read at least one dataset"
    if not stage.writes:
        yield "it writes nothing"
    if len(set(stage.writes.values())) != len(stage.writes):
        yield "two datasets of one record type can't be told apart"
    if stage.shape == "map" and (stage.prompts or stage.oracle):
        yield "a map stage is pure: it has no prompts and no oracle"
    if Reject in stage.writes.values():
        yield "rejects have their own dataset by themselves; don't declare one"
    for record_type in {*stage.reads.values(), *stage.writes.values()}:
        try:
            schema_text(record_type)
        except ConfigError as error:
            yield str(error)
    if len({prompt.stem for prompt in stage.prompts}) != len(stage.prompts):
        yield "two prompt files of one name can't be told apart"
    for prompt in stage.prompts:
        if not prompt.is_file():
            yield f"prompt file {prompt.name!r} does not exist"
    for name in stage.optional:
        if name not in stage.reads:
            yield f"optional dataset {name!r} is not among those it reads"
