# pyright: basic
"""How often intervals hold the truth: samples drawn again and again from sets whose truth is known, by the product's functions and the usual ones.

Kappa and alpha: records drawn from pairs that several people judged; the truth is the coefficient over all of them. The corrected share:
preference records, some with the answers exchanged, let through or stopped by two scripted judges; people's majority says which are good, the
sample is allocated as the review queue is, and the truth is the share of good records over all.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from castalia.quality.review import EXPECTED_ERROR, FLOOR
from castalia.statistics import (
    JudgedStratum,
    Stratum,
    allocate,
    cohen_kappa,
    corrected_kappa,
    corrected_share,
    kappa_interval,
    krippendorff_alpha,
    krippendorff_interval,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_Z = NormalDist().inv_cdf(0.975)
EXCHANGED = 0.12
"""Share of the preference records whose answers are exchanged, so that people would reject them."""


class Coverage(NamedTuple):
    """One kind of interval over many replays."""

    covered: float
    """Share of the intervals that held the truth."""
    half_width: float
    """Mean, as a fraction."""
    replays: int


class Reliability(NamedTuple):
    """How well a scripted judge knows good from bad: chances to let through a good record, and a bad one, and to flag what it lets through."""

    good: float
    bad: float
    flags_good: float
    flags_bad: float


PANELS: dict[str, tuple[Reliability, Reliability]] = {
    "careful": (Reliability(0.97, 0.15, 0.05, 0.5), Reliability(0.98, 0.30, 0.03, 0.4)),
    "ordinary": (Reliability(0.95, 0.30, 0.08, 0.4), Reliability(0.97, 0.45, 0.05, 0.3)),
    "lenient": (Reliability(0.99, 0.60, 0.05, 0.3), Reliability(0.99, 0.70, 0.03, 0.2)),
}
"""Two judges a panel, as in the layers of consistency and facts."""


class Record(NamedTuple):
    """A preference record as judges and people see it."""

    good: bool
    first_passed: bool
    stratum: str


def judged_records(agreed: int, panel: tuple[Reliability, Reliability], rng: np.random.Generator) -> list[Record]:
    """`agreed` records on which people agree, an exact share of them exchanged, and what a panel of judges makes of them."""
    exchanged = set(rng.choice(agreed, round(EXCHANGED * agreed), replace=False).tolist())
    found: list[Record] = []
    for number in range(agreed):
        good = number not in exchanged
        passed = [bool(rng.random() < (judge.good if good else judge.bad)) for judge in panel]
        flagged = any(bool(rng.random() < (judge.flags_good if good else judge.flags_bad)) for judge in panel)
        if not any(passed):
            stratum = "agree-fail"
        elif not all(passed):
            stratum = "disagree"
        else:
            stratum = "flagged" if flagged else "agree-pass"
        found.append(Record(good, passed[0], stratum))
    return found


def kappa_coverage(ratings: Ints, records: int, replays: int, rng: np.random.Generator) -> dict[str, Coverage]:
    """Two raters: `ratings` has the shape (2, records of the whole set)."""
    truth = cohen_kappa(ratings[0].tolist(), ratings[1].tolist())
    held = _Held(truth)
    for _ in range(replays):
        sample = ratings[:, rng.integers(0, ratings.shape[1], records)]
        first, second = sample[0].tolist(), sample[1].tolist()
        held.add("castalia", kappa_interval(first, second).interval)
        held.add("normal (Fleiss 1969)", _kappa_normal(sample))
        held.add("bootstrap, percentile", _kappa_bootstrap(sample, rng))
    return held.rows()


def alpha_coverage(ratings: Ints, records: int, replays: int, rng: np.random.Generator) -> dict[str, Coverage]:
    """`ratings` has the shape (raters, records of the whole set)."""
    table = ratings.astype(np.float64)
    held = _Held(krippendorff_alpha(table))
    for _ in range(replays):
        sample = table[:, rng.integers(0, table.shape[1], records)]
        held.add("castalia", krippendorff_interval(sample).interval)
        held.add("jackknife, normal", _jackknife(sample))
    return held.rows()


def share_coverage(records: Sequence[Record], labels: int, replays: int, rng: np.random.Generator) -> dict[str, Coverage]:
    """The share of good records over all, from so many labels drawn by stratum."""
    strata = sorted({record.stratum for record in records})
    members = [[record.good for record in records if record.stratum == name] for name in strata]
    sizes = [len(member) for member in members]
    deviations = [math.sqrt(EXPECTED_ERROR[name] * (1 - EXPECTED_ERROR[name])) for name in strata]
    drawn = allocate(sizes, deviations, labels, floor=FLOOR)
    held = _Held(sum(map(sum, members)) / len(records))
    for _ in range(replays):
        good = [int(rng.hypergeometric(sum(m), len(m) - sum(m), n)) for m, n in zip(members, drawn, strict=True)]
        found = corrected_share([Stratum(*one) for one in zip(sizes, drawn, good, strict=True)])
        held.add("castalia", (found.low, found.high))
        held.add("normal, stratified", _share_normal(sizes, drawn, good))
        plain = int(rng.hypergeometric(sum(map(sum, members)), len(records) - sum(map(sum, members)), sum(drawn)))
        held.add("Wilson, simple random sample", _wilson(plain, sum(drawn)))
    return held.rows()


def judge_kappa_coverage(records: Sequence[Record], labels: int, replays: int, rng: np.random.Generator) -> dict[str, Coverage]:
    """Kappa of the first judge and people over all records, from so many labels drawn by stratum."""
    keys = sorted({(record.stratum, record.first_passed) for record in records})
    members = [[record.good for record in records if (record.stratum, record.first_passed) == key] for key in keys]
    strata = sorted({name for name, _ in keys})
    sizes = [sum(record.stratum == name for record in records) for name in strata]
    drawn = dict(
        zip(
            strata,
            allocate(sizes, [math.sqrt(EXPECTED_ERROR[n] * (1 - EXPECTED_ERROR[n])) for n in strata], labels, floor=FLOOR),
            strict=True,
        )
    )
    held = _Held(cohen_kappa([record.first_passed for record in records], [record.good for record in records]))
    for _ in range(replays):
        cells: list[JudgedStratum] = []
        for name in strata:
            parts = [(key[1], member) for key, member in zip(keys, members, strict=True) if key[0] == name]
            chosen = rng.multivariate_hypergeometric([len(member) for _, member in parts], drawn[name])
            for (passed, member), count in zip(parts, chosen.tolist(), strict=True):
                good = int(rng.hypergeometric(sum(member), len(member) - sum(member), count)) if count else 0
                cells.append(JudgedStratum(passed, len(member), count, good))
        found = corrected_kappa(cells)
        if found is not None:
            held.add("castalia", found.interval)
    return held.rows()


class _Held:
    """Counts of intervals by method."""

    def __init__(self, truth: float) -> None:
        self._truth = truth
        self._intervals: dict[str, list[tuple[float, float]]] = {}

    def add(self, method: str, interval: tuple[float, float]) -> None:
        self._intervals.setdefault(method, []).append(interval)

    def rows(self) -> dict[str, Coverage]:
        found: dict[str, Coverage] = {}
        for method, intervals in self._intervals.items():
            covered = sum(bool(low - 1e-12 <= self._truth <= high + 1e-12) for low, high in intervals) / len(intervals)
            widths = [float(high - low) for low, high in intervals if not math.isnan(high - low)]
            found[method] = Coverage(covered, sum(widths) / max(1, len(widths)) / 2, len(intervals))
        return found


def _kappa_normal(sample: Ints) -> tuple[float, float]:
    """Fleiss, Cohen and Everitt 1969, doi:10.1037/h0028106, equation 13."""
    labels = np.unique(sample)
    shares = np.array([[np.mean((sample[0] == one) & (sample[1] == other)) for other in labels] for one in labels])
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    observed, expected = float(np.trace(shares)), float(rows @ columns)
    if expected >= 1:
        return math.nan, math.nan
    kappa = (observed - expected) / (1 - expected)
    diagonal = float(np.sum(np.diag(shares) * (1 - (rows + columns) * (1 - kappa)) ** 2))
    weights = (columns[:, None] + rows[None, :]) ** 2 * (1 - np.eye(len(labels)))
    variance = diagonal + (1 - kappa) ** 2 * float(np.sum(shares * weights)) - (kappa - expected * (1 - kappa)) ** 2
    half = _Z * math.sqrt(max(0.0, variance) / sample.shape[1]) / (1 - expected)
    return kappa - half, kappa + half


def _kappa_bootstrap(sample: Ints, rng: np.random.Generator, draws: int = 1000) -> tuple[float, float]:
    labels = np.unique(sample)
    table = np.array([[np.sum((sample[0] == one) & (sample[1] == other)) for other in labels] for one in labels])
    drawn = rng.multinomial(sample.shape[1], table.ravel() / table.sum(), size=draws).reshape(draws, *table.shape) / table.sum()
    expected = (drawn.sum(axis=2) * drawn.sum(axis=1)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        kappas = (np.trace(drawn, axis1=1, axis2=2) - expected) / (1 - expected)
    low, high = np.nanquantile(kappas, [0.025, 0.975]).tolist()
    return low, high


def _jackknife(sample: Floats) -> tuple[float, float]:
    """Leaves out each kind of record once: records rated alike change alpha alike."""
    whole = krippendorff_alpha(sample)
    kinds: dict[tuple[float, ...], list[int]] = {}
    for number, column in enumerate(np.sort(sample, axis=0).T.tolist()):
        kinds.setdefault(tuple(column), []).append(number)
    count = sample.shape[1]
    pseudo = [
        (count * whole - (count - 1) * krippendorff_alpha(np.delete(sample, where[0], axis=1)), len(where)) for where in kinds.values()
    ]
    mean = sum(value * times for value, times in pseudo) / count
    error = math.sqrt(sum(times * (value - mean) ** 2 for value, times in pseudo) / (count - 1) / count)
    return mean - _Z * error, mean + _Z * error


def _share_normal(sizes: Sequence[int], drawn: Sequence[int], good: Sequence[int]) -> tuple[float, float]:
    """Cochran 1977, 5.6, with the correction for a finite set."""
    total = sum(sizes)
    shares = [g / n for g, n in zip(good, drawn, strict=True)]
    mean = sum(size * share for size, share in zip(sizes, shares, strict=True)) / total
    variance = sum(
        (size / total) ** 2 * (1 - n / size) * share * (1 - share) / max(1, n - 1)
        for size, n, share in zip(sizes, drawn, shares, strict=True)
    )
    return mean - _Z * math.sqrt(variance), mean + _Z * math.sqrt(variance)


def _wilson(good: int, labels: int) -> tuple[float, float]:
    share, shrunk = good / labels, 1 + _Z**2 / labels
    half = _Z * math.sqrt(share * (1 - share) / labels + _Z**2 / (4 * labels**2)) / shrunk
    middle = (share + _Z**2 / (2 * labels)) / shrunk
    return middle - half, middle + half
