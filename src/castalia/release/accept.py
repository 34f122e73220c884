"""Which records a release may hold, and why the others stay out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from castalia.errors import ReleaseRefused
from castalia.quality.funnel import Stop, first_stops
from castalia.quality.mix import mix
from castalia.records import Label, Mix, Record, Reject, Verdict


class Passed(NamedTuple):
    """Records by dataset, sorted by id, that nothing keeps out, and why the others are out."""

    records: Mapping[str, tuple[Record, ...]]
    stops: Mapping[str, Stop]
    """Record id -> what keeps it out first, the mix included."""
    left_out: Mapping[str, tuple[Reject, ...]]
    """The rejects of the mix, by dataset."""


@dataclass(frozen=True)
class Accepted:
    """Records by dataset, sorted by id, and what kept the others out: (dataset, layer, check, outcome) -> count.

    `left_out` are the rejects of the mix, by dataset; they are counted in `kept_out`, too.
    """

    records: Mapping[str, tuple[Record, ...]]
    kept_out: Mapping[tuple[str, int, str, str], int]
    left_out: Mapping[str, tuple[Reject, ...]]


def what_passed(datasets: Mapping[str, Sequence[Record]], verdicts: Sequence[Verdict], labels: Sequence[Label], settings: Mix) -> Passed:
    """Splits records by their verdicts and by what people said; of what is left the mix is used."""
    stops = first_stops(verdicts, labels)
    mixed = mix({dataset: [record for record in records if record.id not in stops] for dataset, records in datasets.items()}, settings)
    return Passed(mixed.records, {**mixed.stops, **stops}, mixed.left_out)


def accept(
    datasets: Mapping[str, Sequence[Record]],
    verdicts: Sequence[Verdict],
    labels: Sequence[Label] = (),
    settings: Mix = Mix(),  # noqa: B008 - frozen
) -> Accepted:
    """What passed, where every record has been judged by every layer.

    Raises ReleaseRefused when records wait for a layer that has not run, or have no verdicts at all: a release never leaves a
    layer out silently.
    """
    checked = {verdict.record for verdict in verdicts}
    unchecked = sorted(record.id for records in datasets.values() for record in records if record.id not in checked)
    if unchecked:
        raise ReleaseRefused(
            f"{len(unchecked)} records have no quality verdicts, the first is {unchecked[0]!r}; run `castalia run` to the end"
        )
    waiting = [verdict for verdict in verdicts if verdict.outcome == "waiting"]
    if waiting:
        raise ReleaseRefused(
            f"{len(waiting)} verdicts of layer {waiting[0].layer} ({waiting[0].check}) wait: {waiting[0].reason} The first is on record "
            f"{waiting[0].record!r}. "
            f"Make the layer able to run, then `castalia run --rebuild verify`"
        )
    passed = what_passed(datasets, verdicts, labels, settings)
    kept_out = Counter(
        (dataset, *passed.stops[record.id][:3]) for dataset, records in datasets.items() for record in records if record.id in passed.stops
    )
    return Accepted(passed.records, dict(kept_out), passed.left_out)
