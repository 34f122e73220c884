# pyright: basic
"""Map stages: the stage's function over every record, in this process or in parallel ones. The only place that knows Daft.

The first records run here. When they show that the rest would take seconds, the rest goes as Arrow batches through Daft
to worker processes; the result is the same, so the choice is no part of any identity.
"""

import os
import pickle
import sys
import time
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from castalia.engine.outputs import dataset_of
from castalia.engine.stage import Params, Stage
from castalia.errors import CastaliaError, ConfigError
from castalia.records import Record
from castalia.store import Dataset

# Starting worker processes costs about a second each; below this much remaining work they don't pay.
WORTH_SECONDS = 4.0
PILOT_SECONDS = 1.0
BATCH = 32


Engine = Literal["native", "ray"]


class Mapped(NamedTuple):
    """What one input record became."""

    record: str
    outputs: tuple[Record, ...]


def run_map(
    stage: Stage, params: Params, records: Sequence[Record], *, workers: int | None = None, engine: Engine = "native"
) -> Iterator[Mapped]:
    """The outputs of a map stage, record by record.

    `workers` is the number of processes: 0 keeps everything here, None starts them where the first records show that it pays. `ray`
    sends all records to the Ray cluster that Daft is configured for. Raises what the stage's function raises, with the
    record's id as a note; ConfigError when `ray` is asked for and not installed.
    """
    processes = workers if workers is not None else min(os.cpu_count() or 1, 16)
    done = 0
    if engine == "native" and (workers is None or processes == 0):
        started = time.monotonic()
        for record in records:
            yield map_record(stage, params, record)
            done += 1
            elapsed = time.monotonic() - started
            if processes > 1 and elapsed > PILOT_SECONDS and elapsed / done * (len(records) - done) > WORTH_SECONDS:
                break
    if done < len(records) and isinstance(records, Dataset):
        yield from _map_in_processes(stage, params, records.frame().slice(done), max(processes, 1), _daft(engine))


def map_record(stage: Stage, params: Params, record: Record) -> Mapped:
    """Runs the stage's function on one record. Raises ConfigError when the record vanishes without a Reject."""
    try:
        outputs = tuple(stage.run(record, params))
    except Exception as error:
        error.add_note(f"stage {stage.name!r}, record {record.id!r}")
        raise
    if not outputs:
        raise ConfigError(
            f"stage {stage.name!r} lost record {record.id!r}: it yielded nothing for it. In = kept + rejected must hold for a map stage; "
            f"yield a Reject with the reason"
        )
    return Mapped(record.id, outputs)


def _map_in_processes(stage: Stage, params: Params, rows: pa.Table, processes: int, daft: Any) -> Iterator[Mapped]:
    output = daft.DataType.struct({"dataset": daft.DataType.string(), "json": daft.DataType.string(), "error": daft.DataType.binary()})

    @daft.cls(use_process=True, max_concurrency=processes)
    class Worker:
        def __init__(self, stage: Stage, params: Params) -> None:
            self.stage = stage
            self.params = params

        @daft.method.batch(return_dtype=daft.DataType.list(output), batch_size=BATCH)
        def work(self, rows: Any) -> list[list[dict[str, Any]]]:
            return [_work(self.stage, self.params, row) for row in rows.to_pylist()]

    table = pa.table({"id": rows.column("id"), "row": rows.to_struct_array()})
    frame = daft.from_arrow(table).into_batches(BATCH).select("id", Worker(stage, params).work(daft.col("row")).alias("outputs"))
    for part in _parts(stage, frame, daft):
        for row in part.to_pylist():
            yield Mapped(row["id"], tuple(_decode(stage, item) for item in row["outputs"]))


def _parts(stage: Stage, frame: Any, daft: Any) -> Iterator[pa.RecordBatch]:
    try:
        with _importable_in_workers():
            yield from frame.to_arrow_iter()
    except (RuntimeError, daft.exceptions.DaftCoreException) as error:
        raise _worker_died(stage, error) from error


def _worker_died(stage: Stage, error: Exception) -> CastaliaError:
    """A worker that is killed, by lack of memory for example, takes no exception with it."""
    return CastaliaError(
        f"stage {stage.name!r}: a worker process ended without an answer: {error!s:.400}; nothing was published. "
        f"`--set execution.workers=0` works in one process and shows the failing record, `--set execution.workers=1` takes the least memory"
    )


@contextmanager
def _importable_in_workers() -> Generator[None]:
    """Workers start as fresh interpreters; this lets them import what this process can."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _work(stage: Stage, params: Params, row: dict[str, Any]) -> list[dict[str, Any]]:
    """One record in a worker process: its outputs as JSON, or the error, which the driver raises."""
    record_type = next(iter(stage.reads.values()))
    try:
        outputs = map_record(stage, params, record_type.from_row(row)).outputs
        return [{"dataset": dataset_of(stage, output), "json": output.model_dump_json(), "error": None} for output in outputs]
    except Exception as error:  # noqa: BLE001 - it travels to the driver and is raised there; Daft would keep only its text
        error.add_note(traceback.format_exc())
        return [{"dataset": None, "json": None, "error": _portable(error)}]


def _portable(error: Exception) -> bytes:
    """The error as bytes; one that can't travel becomes its text."""
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:  # noqa: BLE001 - any failure to pickle means the same: send the text instead
        return pickle.dumps(RuntimeError("".join(traceback.format_exception(error))))
    return data


def _decode(stage: Stage, item: dict[str, Any]) -> Record:
    if item["error"] is not None:
        raise pickle.loads(item["error"])
    return stage.outputs[item["dataset"]].model_validate_json(item["json"])


def _daft(engine: Engine) -> Any:
    # Read by Daft when it is imported, and inherited by its workers.
    os.environ["DAFT_ANALYTICS_ENABLED"] = "0"
    os.environ.setdefault("DAFT_PROGRESS_BAR", "0")
    import daft

    if engine == "ray" and daft.get_or_infer_runner_type() != "ray":
        try:
            daft.set_runner_ray()
        except ImportError as error:
            raise ConfigError(f"engine 'ray' needs the package ray: {error}; install daft[ray], or use engine 'native'") from error
    return daft
