# pyright: basic
"""A stage as a process: `python -m castalia.training.STAGE job.json`, also below accelerate, torchrun or srun.

Standard output is one JSON object per line: `{"event": ...}` for each step, at last `{"result": ...}` or `{"error": ...}`.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from pydantic import Field

from castalia.errors import CastaliaError, ConfigError
from castalia.records import Frozen, PreferencePair, Record, ReplayItem, RewardRecord, SFTExample
from castalia.sandbox import RunnerConfig, Sandbox, Tier, open_sandbox
from castalia.training.child import follow_parent
from castalia.training.recipe import Recipe, StageName
from castalia.training.stage import OnEvent, StageResult

_KINDS: tuple[type[Record], ...] = (SFTExample, PreferencePair, RewardRecord, ReplayItem)


class Job(Frozen):
    """A resolved stage: nothing is looked up when it runs."""

    recipe: Recipe
    start: str = Field(description="Folder of the model to start from.")
    out: str = Field(description="Folder of the stage.")
    data: str = Field(description="JSONL of records.")
    earlier: str = Field(default="", description="JSONL of earlier SFT examples, for consolidation.")
    start_id: str | None = Field(default=None, description="Names what is in `start`; None: its files are hashed.")
    tier: Tier | None = Field(default=None, description="Sandbox tier for executed rewards; None: what needs one is undecided.")
    runners: Mapping[str, RunnerConfig] = Field(default_factory=dict, description="The sandbox's runners by name.")


def write_records(path: Path, records: Iterable[Record]) -> Path:
    """One record per line, `id` first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps({"id": record.id, **record.model_dump(mode="json")}, ensure_ascii=False) + "\n")
    return path


def read_records(path: Path) -> list[Record]:
    """What `write_records` wrote, ids checked."""
    by_prefix = {kind.PREFIX: kind for kind in _KINDS}
    records: list[Record] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line:
            continue
        row = json.loads(line)
        kind = by_prefix.get(str(row.get("id", "")).partition("_")[0])
        if kind is None:
            raise ConfigError(f"line {number} of {str(path)!r} has id {row.get('id')!r}: training takes records of {sorted(by_prefix)}")
        content = {name: value for name, value in row.items() if name != "id"}
        record = kind.model_validate_json(json.dumps(content))
        if record.id != row["id"]:
            raise ConfigError(f"line {number} of {str(path)!r} was edited: its content hashes to {record.id!r}, not {row['id']!r}")
        records.append(record)
    return records


def run_here(stage: StageName, path: Path, on_event: OnEvent) -> StageResult:
    """Runs the stage of a job file in this process."""
    job = Job.model_validate_json(path.read_text(encoding="utf-8"))
    records, start, out = read_records(Path(job.data)), Path(job.start), Path(job.out)
    if stage == "sft":
        from castalia.training import sft

        return sft.run(job.recipe, records, start, out, start_id=job.start_id, on_event=on_event)
    if stage == "preference":
        from castalia.training import preference

        return preference.run(job.recipe, records, start, out, start_id=job.start_id, on_event=on_event)
    if stage == "grpo":
        from castalia.training import grpo
        from castalia.training.rewards import checks

        with _sandbox(job, records) as sandbox:
            return grpo.run(job.recipe, records, start, out, scorer=checks(sandbox), start_id=job.start_id, on_event=on_event)
    from castalia.training import consolidate

    earlier = read_records(Path(job.earlier)) if job.earlier else []
    return consolidate.run(job.recipe, records, earlier, start, out, start_id=job.start_id, on_event=on_event)


def main(stage: StageName, arguments: Sequence[str] | None = None) -> None:
    """Reads the job named on the command line, runs it and prints what happens."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if len(given) != 1:
        print(f"usage: python -m castalia.training.{stage} job.json", file=sys.stderr)
        sys.exit(ConfigError.exit_code)
    follow_parent()
    try:
        result = run_here(stage, Path(given[0]), lambda event: _say("event", event.model_dump(mode="json", exclude_none=True)))
    except CastaliaError as error:
        _say("error", {"class": type(error).__name__, "message": str(error)})
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    _say("result", result.model_dump(mode="json"))


def _say(what: str, value: Mapping[str, Any]) -> None:
    print(json.dumps({what: value}), flush=True)


def _sandbox(job: Job, records: Sequence[Record]) -> AbstractContextManager[Sandbox | None]:
    """Opened only where a reward executes: a machine without isolation can still train on the others."""
    executes = any(isinstance(r, RewardRecord) and r.check.kind == "execution" for r in records)
    return open_sandbox(job.runners, tier=job.tier) if executes and job.tier else nullcontext()
