"""How far raters agree beyond chance, and what judges' labels are worth once people have checked some of them.

Intervals of kappa and alpha are Bayesian: the shares of the rating patterns have a Dirichlet posterior whose prior is worth one record, spread
evenly over what raters could have said (Perks 1947). They keep their coverage where agreement is high or one label rare, where the normal
interval (Fleiss, Cohen and Everitt 1969, doi:10.1037/h0028106), its logarithm and the bootstrap fall to .80 to .93 at 40 records.
"""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import combinations_with_replacement
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from castalia.errors import InputError
from castalia.statistics.distributions import normal_quantile

Floats = NDArray[np.float64]
Level = Literal["nominal", "ordinal", "interval"]
_DRAWS = 4000
_SEED = 20


class Estimate(NamedTuple):
    """A mean, its standard error and its two-sided interval."""

    mean: float
    error: float
    interval: tuple[float, float]


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Cohen's kappa of two raters over the same records. NaN where chance alone gives full agreement (one label only)."""
    if len(first) != len(second) or not first:
        raise InputError(f"kappa got {len(first)} and {len(second)} labels; both raters must have labelled the same records")
    number = {label: index for index, label in enumerate(dict.fromkeys([*first, *second]))}
    table = np.zeros((len(number), len(number)))
    np.add.at(table, ([number[label] for label in first], [number[label] for label in second]), 1)
    table /= len(first)
    observed, expected = float(np.trace(table)), float(table.sum(axis=0) @ table.sum(axis=1))
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")


def kappa_interval(first: Sequence[Hashable], second: Sequence[Hashable], *, confidence: float = 0.95) -> Estimate:
    """Cohen's kappa with its interval. Records are a random sample of those that could have been rated; raters are the same throughout."""
    mean = cohen_kappa(first, second)
    labels = list(dict.fromkeys([*first, *second]))
    counts = Counter(zip(first, second, strict=True))
    table = np.array([[counts[one, other] for other in labels] for one in labels], dtype=np.float64)
    prior = 1 / table.size
    drawn = np.random.default_rng(_SEED).standard_gamma(table + prior, size=(_DRAWS, *table.shape))
    return _estimate(mean, kappas(drawn), confidence)


def kappas(tables: Floats) -> Floats:
    """Cohen's kappa of each table of shape (..., labels, labels); NaN where chance alone gives full agreement."""
    shares = tables / tables.sum(axis=(-2, -1), keepdims=True)
    observed = np.trace(shares, axis1=-2, axis2=-1)
    expected = (shares.sum(axis=-1) * shares.sum(axis=-2)).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected < 1, (observed - expected) / (1 - expected), np.nan)


def krippendorff_alpha(ratings: ArrayLike, level: Level = "nominal") -> float:
    """Krippendorff's alpha of a table of shape (raters, records); NaN marks a missing rating.

    Records with fewer than two ratings say nothing and are left out. NaN where all ratings are equal.
    """
    values, counts = _rating_counts(ratings)
    coincidence = _coincidences(counts).sum(axis=0)
    totals = coincidence.sum(axis=1)
    distance = _distance(values, totals, level)
    expected = np.outer(totals, totals) - np.diag(totals)
    disagreement = float((expected * distance).sum())
    return 1 - (totals.sum() - 1) * float((coincidence * distance).sum()) / disagreement if disagreement else float("nan")


def krippendorff_interval(ratings: ArrayLike, level: Level = "nominal", *, confidence: float = 0.95) -> Estimate:
    """Krippendorff's alpha with its interval; see `krippendorff_alpha`. Records are a random sample of those that could have been rated."""
    mean = krippendorff_alpha(ratings, level)
    values, counts = _rating_counts(ratings)
    patterns = Counter(tuple(int(count) for count in row) for row in counts)
    usual = Counter(sum(pattern) for pattern in patterns.elements()).most_common(1)[0][0]
    prior = dict(_random_patterns(len(values), usual))
    known = sorted({*patterns, *prior})
    weights = np.array([patterns[pattern] + prior.get(pattern, 0.0) for pattern in known])
    parts = _coincidences(np.array(known, dtype=np.float64))
    drawn = np.random.default_rng(_SEED).standard_gamma(weights, size=(_DRAWS, len(known)))
    coincidence = np.tensordot(drawn, parts, axes=1)
    totals = coincidence.sum(axis=2)
    distance = np.stack([_distance(values, row, level) for row in totals]) if level == "ordinal" else _distance(values, totals[0], level)
    observed = (coincidence * distance).sum(axis=(1, 2)) / totals.sum(axis=1)
    expected = (totals[:, :, None] * totals[:, None, :] * distance).sum(axis=(1, 2)) / totals.sum(axis=1) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return _estimate(mean, 1 - observed / expected, confidence)


def _rating_counts(ratings: ArrayLike) -> tuple[Floats, Floats]:
    """The values that occur, and how often each record has each: shape (records with two ratings or more, values)."""
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2:
        raise InputError(f"ratings have shape {table.shape}; give a table of raters x records")
    values = np.unique(table[~np.isnan(table)])
    counts = np.stack([(table == value).sum(axis=0) for value in values], axis=1).astype(np.float64) if values.size else np.zeros((0, 0))
    counts = counts[counts.sum(axis=1) >= 2] if counts.size else counts
    if not counts.size:
        raise InputError("no record has two ratings; alpha needs records that at least two raters labelled")
    return values, counts


def _coincidences(counts: Floats) -> Floats:
    """What each record adds to the coincidence matrix: shape (records, values, values)."""
    per_record = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(counts.shape[1])
    return pairs / (per_record - 1)[:, None, None]


def _random_patterns(values: int, raters: int) -> list[tuple[tuple[int, ...], float]]:
    """How often each value is given when so many raters choose blindly, with the chance of it."""
    found: list[tuple[tuple[int, ...], float]] = []
    for given in combinations_with_replacement(range(values), raters):
        pattern = tuple(given.count(value) for value in range(values))
        ways = math.factorial(raters) / math.prod(math.factorial(count) for count in pattern)
        found.append((pattern, ways / values**raters))
    return found


def _estimate(mean: float, drawn: Floats, confidence: float) -> Estimate:
    low, high = np.nanquantile(drawn, [0.5 - confidence / 2, 0.5 + confidence / 2]).tolist()
    return Estimate(mean, float(np.nanstd(drawn)), (low, high))


def _distance(values: Floats, totals: Floats, level: Level) -> Floats:
    if level == "nominal":
        return 1 - np.eye(len(values))
    if level == "interval":
        return np.square(values[:, None] - values[None, :])
    middle = np.cumsum(totals) - totals / 2
    return np.square(middle[:, None] - middle[None, :])


def ppi_mean(
    labels: ArrayLike, judged_labelled: ArrayLike, judged_unlabelled: ArrayLike, *, confidence: float = 0.95, tune: bool = True
) -> Estimate:
    """Prediction-powered mean: people's `labels` correct a judge's scores of many more records.

    `judged_labelled` are the judge's scores of the records people labelled, in the same order. With `tune`, the judge's weight is
    chosen to minimise the variance (PPI++, Angelopoulos et al. 2023, arXiv:2311.01453): a useless judge then costs nothing.
    """
    y, f, g = (np.asarray(values, dtype=np.float64) for values in (labels, judged_labelled, judged_unlabelled))
    if y.shape != f.shape or y.ndim != 1 or len(y) < 2 or len(g) < 2:
        raise InputError(f"got {y.shape} labels, {f.shape} judged and {g.shape} unlabelled; labels and judged must pair, at least 2 each")
    n, m = len(y), len(g)
    pooled = float(np.var(np.concatenate([f, g]), ddof=1))
    weight = 1.0
    if tune:
        weight = min(1.0, max(0.0, float(np.cov(y, f)[0, 1]) / ((1 + n / m) * pooled))) if pooled else 0.0
    mean = weight * float(g.mean()) + float((y - weight * f).mean())
    error = float(np.sqrt(weight**2 * np.var(g, ddof=1) / m + np.var(y - weight * f, ddof=1) / n))
    half = normal_quantile(0.5 + confidence / 2) * error
    return Estimate(mean, error, (mean - half, mean + half))
