"""Two models on the same items: the paired difference, its error when items share a cluster, and what could be seen at all.

Scores lie in [0, 1]; arrays have one entry per item, in the same order for both models. Differences are `after - before`, as
fractions (0.02 is two points).
"""

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from castalia.errors import InputError
from castalia.statistics.distributions import binomial_tail, normal_quantile, t_cdf, t_quantile

Floats = NDArray[np.float64]


class Difference(NamedTuple):
    """A mean paired difference and what is needed to put bounds on it."""

    mean: float
    error: float  # standard error, cluster-robust
    df: float  # degrees of freedom of its t distribution: clusters - 1
    items: int
    clusters: int
    discordance: float  # mean squared difference: for right/wrong scores the share of items that changed

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Two-sided interval, clipped to [-1, 1]."""
        half = t_quantile(0.5 + confidence / 2, self.df) * self.error if self.error else 0.0
        return max(-1.0, self.mean - half), min(1.0, self.mean + half)

    def lower_bound(self, alpha: float) -> float:
        """One-sided lower bound at level `alpha`, not below -1."""
        return max(-1.0, self.mean + (t_quantile(alpha, self.df) * self.error if self.error else 0.0))

    def p_at_most(self, value: float) -> float:
        """p-value of the hypothesis 'the true difference is at most `value`'; small means it is larger."""
        if not self.error:
            return float(self.mean <= value)
        return 1 - t_cdf((self.mean - value) / self.error, self.df)

    def p_at_least(self, value: float) -> float:
        """p-value of the hypothesis 'the true difference is at least `value`'; small means it is smaller."""
        if not self.error:
            return float(self.mean >= value)
        return t_cdf((self.mean - value) / self.error, self.df)


def paired_difference(before: ArrayLike, after: ArrayLike, clusters: Sequence[Hashable] | None = None) -> Difference:
    """Mean of `after - before` with the cluster-robust error (Liang & Zeger 1986; factor G/(G-1)) and t with G-1 degrees.

    Without `clusters` every item is its own, which gives the ordinary paired t. Raises InputError on unequal lengths,
    fewer than two clusters, or values that are no numbers.
    """
    differences = _differences(before, after)
    sums, _ = _by_cluster(differences - differences.mean(), clusters)
    groups = len(sums)
    if groups < 2:
        raise InputError(f"{len(differences)} items in {groups} cluster give no error estimate; compare on items of at least 2 clusters")
    items = len(differences)
    error = math.sqrt(float(np.square(sums).sum()) * groups / (groups - 1)) / items
    return Difference(float(differences.mean()), error, groups - 1, items, groups, float(np.square(differences).mean()))


def with_sparse_floor(difference: Difference) -> Difference:
    """The same difference with an error not below that of the Agresti-Min adjustment.

    Where few or no items changed, the plug-in error is too small, and zero when none did; it would then call eight unchanged
    items proof of no change. Agresti & Min (2005, doi:10.1002/sim.1781) add half an item to each cell of the paired table,
    which here means: sum of squares + 1, items + 2.
    """
    items = difference.items + 2
    total = difference.mean * difference.items
    squares = difference.discordance * difference.items + 1
    floor = math.sqrt(squares - total * total / items) / items
    return difference._replace(error=max(difference.error, floor))


def cluster_bootstrap(
    before: ArrayLike,
    after: ArrayLike,
    clusters: Sequence[Hashable] | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of the mean difference, drawing whole clusters with replacement. The same seed gives the same interval."""
    sums, sizes = _by_cluster(_differences(before, after), clusters)
    groups = len(sums)
    draws = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    means = (draws @ sums) / (draws @ sizes)
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def mcnemar_exact(before: ArrayLike, after: ArrayLike) -> float:
    """Two-sided exact p-value that right/wrong scores changed equally often in both directions. For independent items."""
    differences = _differences(before, after)
    gained, lost = int((differences > 0).sum()), int((differences < 0).sum())
    return min(1.0, 2 * binomial_tail(min(gained, lost), gained + lost))


def minimal_detectable_effect(
    items: int, discordance: float, *, alpha: float = 0.05, power: float = 0.8, design_effect: float = 1.0
) -> float:
    """The smallest true difference that a one-sided test at `alpha` finds with probability `power`.

    `discordance` is the share of items on which the models differ; `design_effect` how much clustering inflates the variance.
    A difference can't exceed the discordance, so neither does the result: equality means 'not detectable at any size'.
    """
    z2 = (normal_quantile(1 - alpha) + normal_quantile(power)) ** 2 * design_effect
    return min(discordance, math.sqrt(z2 * discordance / (items + z2)))


def items_needed(effect: float, discordance: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """How many independent items find a true difference of `effect` with probability `power` in a one-sided test."""
    if not 0 < effect <= discordance:
        raise InputError(f"an effect of {effect!r} can't come from a discordance of {discordance!r}; it must lie in (0, discordance]")
    z2 = (normal_quantile(1 - alpha) + normal_quantile(power)) ** 2
    return math.ceil(z2 * (discordance - effect * effect) / (effect * effect))


def _differences(before: ArrayLike, after: ArrayLike) -> Floats:
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape or not first.size:
        raise InputError(f"paired scores have shapes {first.shape} and {second.shape}; both need the same items, at least one")
    differences = second - first
    if not np.isfinite(differences).all():
        raise InputError("paired scores hold NaN or infinity; an item without a score counts as 0")
    return differences


def _by_cluster(values: Floats, clusters: Sequence[Hashable] | None) -> tuple[Floats, Floats]:
    """Sum of `values` and number of items per cluster, in order of first appearance."""
    if clusters is None:
        return values, np.ones_like(values)
    if len(clusters) != len(values):
        raise InputError(f"{len(clusters)} cluster names for {len(values)} items; every item has one")
    number: dict[Hashable, int] = {}
    index = np.array([number.setdefault(name, len(number)) for name in clusters])
    return np.bincount(index, weights=values).astype(np.float64), np.bincount(index).astype(np.float64)
