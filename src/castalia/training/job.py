# pyright: basic
"""A stage as a process: `python -m castalia.training.STAGE job.json`, also below accelerate, torchrun or srun."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import Field

from castalia.errors import CastaliaError, ConfigError
from castalia.records import Frozen, PreferencePair, Record, ReplayItem, RewardRecord, SFTExample
from castalia.training.recipe import Recipe, StageName
from castalia.training.stage import StageResult, TrainingEvent

_KINDS: tuple[type[Record], ...] = (SFTExample, PreferencePair, RewardRecord, ReplayItem)


class Job(Frozen):
    """A resolved stage: nothing is looked up when it runs."""

    recipe: Recipe
    start: str = Field(description="Folder of the model to start from.")
    out: str = Field(description="Folder of the stage.")
    data: str = Field(description="JSONL of records.")
    earlier: str = Field(default="", description="JSONL of earlier SFT examples, for consolidation.")
    start_id: str | None = Field(default=None, description="Names what is in `start`; None: its files are hashed.")


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


def run_job(stage: StageName, job: Job) -> StageResult:
    """Runs one stage in this process."""
    records, start, out = read_records(Path(job.data)), Path(job.start), Path(job.out)

    def tell(event: TrainingEvent) -> None:
        print(event.model_dump_json(exclude_none=True), flush=True)

    if stage == "sft":
        from castalia.training import sft

        return sft.run(job.recipe, records, start, out, start_id=job.start_id, on_event=tell)
    if stage == "preference":
        from castalia.training import preference

        return preference.run(job.recipe, records, start, out, start_id=job.start_id, on_event=tell)
    if stage == "grpo":
        from castalia.sandbox import open_sandbox
        from castalia.training import grpo
        from castalia.training.rewards import checks

        needed = any(isinstance(r, RewardRecord) and r.check.kind == "execution" for r in records)
        scorer = checks(open_sandbox() if needed else None)
        return grpo.run(job.recipe, records, start, out, scorer=scorer, start_id=job.start_id, on_event=tell)
    from castalia.training import consolidate

    earlier = read_records(Path(job.earlier)) if job.earlier else []
    return consolidate.run(job.recipe, records, earlier, start, out, start_id=job.start_id, on_event=tell)


def main(stage: StageName, arguments: Sequence[str] | None = None) -> None:
    """Reads the job named on the command line, runs it and prints its result as the last line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if len(given) != 1:
        print(f"usage: python -m castalia.training.{stage} job.json", file=sys.stderr)
        sys.exit(ConfigError.exit_code)
    try:
        job = Job.model_validate_json(Path(given[0]).read_text(encoding="utf-8"))
        print(run_job(stage, job).model_dump_json(), flush=True)
    except CastaliaError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
