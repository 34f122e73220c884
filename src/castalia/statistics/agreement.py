"""How far raters agree beyond chance, and what judges' labels are worth once people have checked some of them."""

from collections.abc import Hashable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from castalia.errors import InputError
from castalia.statistics.distributions import normal_quantile

Floats = NDArray[np.float64]
Level = Literal["nominal", "ordinal", "interval"]


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


def krippendorff_alpha(ratings: ArrayLike, level: Level = "nominal") -> float:
    """Krippendorff's alpha of a table of shape (raters, records); NaN marks a missing rating.

    Records with fewer than two ratings say nothing and are left out. NaN where all ratings are equal.
    """
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2:
        raise InputError(f"ratings have shape {table.shape}; give a table of raters x records")
    values = np.unique(table[~np.isnan(table)])
    counts = np.stack([(table == value).sum(axis=0) for value in values], axis=1).astype(np.float64) if values.size else np.zeros((0, 0))
    counts = counts[counts.sum(axis=1) >= 2] if counts.size else counts
    if not counts.size:
        raise InputError("no record has two ratings; alpha needs records that at least two raters labelled")
    per_record = counts.sum(axis=1, keepdims=True)
    coincidence = counts.T @ (counts / (per_record - 1)) - np.diag((counts / (per_record - 1)).sum(axis=0))
    totals = coincidence.sum(axis=1)
    distance = _distance(values, totals, level)
    expected = np.outer(totals, totals) - np.diag(totals)
    disagreement = float((expected * distance).sum())
    return 1 - (totals.sum() - 1) * float((coincidence * distance).sum()) / disagreement if disagreement else float("nan")


def _distance(values: Floats, totals: Floats, level: Level) -> Floats:
    if level == "nominal":
        return 1 - np.eye(len(values))
    if level == "interval":
        return np.square(values[:, None] - values[None, :])
    middle = np.cumsum(totals) - totals / 2
    return np.square(middle[:, None] - middle[None, :])


class Estimate(NamedTuple):
    """A mean, its standard error and its two-sided interval."""

    mean: float
    error: float
    interval: tuple[float, float]


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
