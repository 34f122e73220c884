"""Which records a release may hold, and why the others stay out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from castalia.errors import ReleaseRefused
from castalia.records import RELEASING, Record, Verdict


@dataclass(frozen=True)
class Accepted:
    """Records by dataset, sorted by id, and what kept the others out: (dataset, layer, check, outcome) -> count."""

    records: Mapping[str, tuple[Record, ...]]
    kept_out: Mapping[tuple[str, int, str, str], int]


def accept(datasets: Mapping[str, Sequence[Record]], verdicts: Sequence[Verdict]) -> Accepted:
    """Splits records by their verdicts: every verdict must be `pass` or `flag`, and there must be one.

    Raises ReleaseRefused when records wait for a layer that has not run, or have no verdicts at all: a release never leaves a
    layer out silently.
    """
    by_record: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_record.setdefault(verdict.record, []).append(verdict)
    unchecked = sorted(record.id for records in datasets.values() for record in records if record.id not in by_record)
    if unchecked:
        raise ReleaseRefused(
            f"{len(unchecked)} records have no quality verdicts, the first is {unchecked[0]!r}; run `castalia run` to the end"
        )
    waiting = [verdict for verdict in verdicts if verdict.outcome == "waiting"]
    if waiting:
        raise ReleaseRefused(
            f"{len(waiting)} verdicts of layer {waiting[0].layer} ({waiting[0].check}) wait: {waiting[0].reason} "
            f"Make the layer able to run, then `castalia run --rebuild verify`"
        )
    accepted: dict[str, tuple[Record, ...]] = {}
    kept_out: Counter[tuple[str, int, str, str]] = Counter()
    for dataset, records in datasets.items():
        kept = [record for record in records if all(verdict.outcome in RELEASING for verdict in by_record[record.id])]
        accepted[dataset] = tuple(sorted(kept, key=lambda record: record.id))
        for record in records:
            blocking = [verdict for verdict in by_record[record.id] if verdict.outcome not in RELEASING]
            if blocking:
                first = min(blocking, key=lambda verdict: (verdict.layer, verdict.check))
                kept_out[dataset, first.layer, first.check, first.outcome] += 1
    return Accepted(accepted, dict(kept_out))
