"""What keeps records out, and the funnel: how many records each layer let through."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from castalia.quality.audit import suspensions, withdrawn
from castalia.quality.labels import CHECK, LAYER, decisions, stops
from castalia.quality.layers import LAYERS
from castalia.records import Label, Verdict


class Stop(NamedTuple):
    """What keeps a record out first, by layer and check."""

    layer: int
    check: str
    outcome: str
    reason: str

    def __str__(self) -> str:
        return f"{self.layer} {self.check} {self.outcome}"


class FunnelRow(NamedTuple):
    """One dataset through the layers. Of the accepted records `flagged` should be looked at."""

    dataset: str
    records: int
    standing: tuple[int, ...]
    """Records that no layer up to this one stopped, layer by layer."""
    stopped: tuple[tuple[str, int], ...]
    """`layer check outcome` of what stopped records first, and how many."""
    flagged: int
    waiting: tuple[tuple[str, int], ...]
    """`layer check: reason` of layers that could not run, and how many records wait for them."""
    left_out: int = 0
    """What passed every layer and the mix doesn't use."""

    @property
    def accepted(self) -> int:
        """What a release takes."""
        return self.standing[-1] - self.left_out


def first_stops(verdicts: Iterable[Verdict], labels: Iterable[Label]) -> dict[str, Stop]:
    """Record id -> what keeps it out first; records that nothing keeps out are not in it.

    What a judge let through where people suspended it is undecided: see audit.py.
    """
    labels, verdicts = list(labels), list(verdicts)
    decided = decisions(labels)
    suspended = suspensions(verdicts, labels)
    found: dict[str, Stop] = {
        record: Stop(LAYER, CHECK, "reject", "a person rejected it") for record in decided if decided[record] == "reject"
    }
    for verdict in (withdrawn(given, suspended) for given in verdicts):
        if stops(verdict, decided.get(verdict.record)):
            stop = Stop(verdict.layer, verdict.check, verdict.outcome, verdict.reason)
            found[verdict.record] = min(stop, found.get(verdict.record, stop))
    return found


def funnel(totals: Mapping[str, int], verdicts: Sequence[Verdict], out: Mapping[str, Stop]) -> tuple[FunnelRow, ...]:
    """One row per dataset of `totals` (name -> records); `out` has what is kept out, by record id, the mix included."""
    dataset_of = {verdict.record: verdict.dataset for verdict in verdicts}
    flagged = Counter(dataset_of[record] for record in {verdict.record for verdict in verdicts if verdict.outcome == "flag"} - out.keys())
    rows: list[FunnelRow] = []
    for dataset, total in totals.items():
        stopped = [stop for record, stop in sorted(out.items()) if dataset_of.get(record) == dataset]
        lost = Counter(stop.layer for stop in stopped)
        standing = tuple(total - sum(count for layer, count in lost.items() if layer <= last.number) for last in LAYERS)
        waiting = _counted(f"{stop.layer} {stop.check}: {stop.reason}" for stop in stopped if stop.outcome == "waiting")
        rows.append(
            FunnelRow(
                dataset,
                total,
                standing,
                _counted(map(str, stopped)),
                flagged[dataset],
                waiting,
                sum(stop.layer > LAYERS[-1].number for stop in stopped),
            )
        )
    return tuple(rows)


def _counted(names: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(Counter(names).items()))
