"""Ask stages: many records in flight at once, an orderly stop, and every missing recording named together.

Nothing of an unfinished stage is kept but the answers in the ledger: running it again asks only what was not answered.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence

from castalia.engine.context import Context
from castalia.engine.stage import Params, Stage
from castalia.errors import AnswerUnusable, MissingRecording
from castalia.records import Provenance, Record, Reject


async def run_ask(
    stage: Stage,
    params: Params,
    ctx: Context,
    records: Sequence[Record],
    *,
    add: Callable[[Record], None],
    in_flight: int,
    advanced: Callable[[int], None],
) -> None:
    """Gives the outputs of each record to `add` as soon as all of them are there, in no order. At most `in_flight` records are worked on
    at once.

    An AnswerUnusable that the stage lets through becomes a Reject. Recordings that are missing don't stop the others and are
    raised as one MissingRecording. Any other error stops the stage: no record is started anymore, those in flight end first.
    """
    work = _Work(iter(records), add, advanced)
    workers = [asyncio.ensure_future(_worker(stage, params, ctx, work)) for _ in range(min(in_flight, len(records)))]
    failures = [error for error in await asyncio.gather(*workers, return_exceptions=True) if isinstance(error, BaseException)]
    if failures:
        raise failures[0]
    if work.missing:
        raise MissingRecording(_summary(work.missing))


class _Work:
    """What the workers of one stage share."""

    def __init__(self, source: Iterator[Record], add: Callable[[Record], None], advanced: Callable[[int], None]) -> None:
        self.source = source
        self.add = add
        self.advanced = advanced
        self.missing: list[str] = []
        self.stopped = False
        self.done = 0


async def _worker(stage: Stage, params: Params, ctx: Context, work: _Work) -> None:
    for record in work.source:
        try:
            for output in await _ask(stage, params, ctx, record):
                work.add(output)
        except MissingRecording as error:
            work.missing.append(str(error))
        except BaseException as error:
            work.stopped = True
            error.add_note(f"stage {stage.name!r}, record {record.id!r}")
            raise
        work.done += 1
        work.advanced(work.done)
        if work.stopped:
            return


async def _ask(stage: Stage, params: Params, ctx: Context, record: Record) -> list[Record]:
    outputs: list[Record] = []
    try:
        async for output in stage.run(record, params, ctx):
            outputs.append(output)
    except AnswerUnusable as error:
        subject = str(getattr(record, "subject", None) or getattr(record, "url", None) or record.id)
        origin = Provenance(parents=(record.id,), calls=error.calls)
        outputs.append(Reject(stage=stage.name, subject=subject, reason="answer-unusable", detail=str(error), provenance=origin))
    return outputs


def _summary(missing: Sequence[str]) -> str:
    """What is missing line by line, and the advice that all messages share once."""
    distinct = sorted(set(missing))
    if len(distinct) == 1:
        return distinct[0]
    parted = [message.partition(". ") for message in distinct]
    shared = len({advice for _, _, advice in parted}) == 1
    lines = [what for what, _, _ in parted[:5]] if shared else distinct[:5]
    more = [f"and {len(distinct) - 5} more"] if len(distinct) > 5 else []
    advice = [parted[0][2]] if shared and parted[0][2] else []
    return "\n".join([f"{len(distinct)} recorded answers are missing:", *(f"  {line}" for line in [*lines, *more]), *advice])
