"""How many records of a set are good, when people looked at some of them: a stratified sample of a finite set.

Judges divide the set into strata (all passed it, one failed it, ...); people label a random part of each. Within a stratum a judge says the
same of every record, so the prediction-powered mean (Angelopoulos et al. 2023, doi:10.1126/science.adi6000) is the sum of the strata's own
shares, weighted by their sizes: judges cut the variance by dividing the set well, and can't bias the result by being wrong.

The interval is Bayesian and exact for a finite set: given `good` of `labelled`, the good ones among the others of a stratum are beta-binomial
(Ericson 1969, doi:10.1111/j.2517-6161.1969.tb00782.x), and the sum over strata is their convolution. The prior of each stratum is
Beta(1/4, 1/4), worth half a record, as Perks' (1947) for the table of judge and people is. Of the priors tried it alone kept its coverage in
eight strata as in one, with five labels in some and at shares near 0 and 1; the normal interval does not: see `python -m benchmarks judges`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from castalia.errors import InputError
from castalia.statistics.agreement import Estimate, kappas
from castalia.statistics.distributions import normal_quantile

Floats = NDArray[np.float64]
_PRIOR = 0.25
_DRAWS = 4000
_SEED = 21


class Stratum(NamedTuple):
    """Records of which judges say the same."""

    size: int
    labelled: int
    good: int
    """Of the labelled ones."""


class JudgedStratum(NamedTuple):
    """Records of which one judge says the same."""

    passed: bool
    """Whether it let them through."""
    size: int
    labelled: int
    good: int
    """Of the labelled ones."""


class CorrectedShare(NamedTuple):
    """The share of good records in the whole set, as a fraction: the stratified mean, and a two-sided interval."""

    mean: float
    low: float
    high: float
    labelled: int
    certainty_above: float
    """Probability that the share exceeds the `threshold` that was asked about."""

    @property
    def half_width(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2


def corrected_share(strata: Sequence[Stratum], *, confidence: float = 0.95, threshold: float = 0.0) -> CorrectedShare:
    """The share of good records over all strata, sizes counted. Raises InputError without a label, or for counts that can't be."""
    strata = [stratum for stratum in strata if stratum.size]
    for stratum in strata:
        if not 0 <= stratum.good <= stratum.labelled <= stratum.size:
            raise InputError(f"stratum {stratum!r} can't be: good <= labelled <= size")
    labelled, size = sum(stratum.labelled for stratum in strata), sum(stratum.size for stratum in strata)
    if not labelled:
        raise InputError("no record is labelled: there is nothing to estimate from; label some records first")
    known = sum(stratum.good for stratum in strata)
    chances = _sum_of([_beta_binomial(s.size - s.labelled, _PRIOR + s.good, _PRIOR + s.labelled - s.good) for s in strata])
    cumulated = np.cumsum(chances)
    tail = (1 - confidence) / 2
    low, high = (min(int(np.searchsorted(cumulated, level)), len(chances) - 1) for level in (tail, 1 - tail))
    mean = sum(_expected(stratum, known / labelled) for stratum in strata)
    short = math.floor(threshold * size) - known  # so many more good ones don't exceed the threshold
    above = 1.0 if short < 0 else max(0.0, 1 - float(cumulated[min(len(chances) - 1, short)]))
    return CorrectedShare(min(max(mean, known + low), known + high) / size, (known + low) / size, (known + high) / size, labelled, above)


def corrected_kappa(strata: Sequence[JudgedStratum], *, confidence: float = 0.95) -> Estimate | None:
    """Cohen's kappa of a judge and people over all records, from the labels of some. None where both gave one and the same answer.

    The mean weights each stratum by its size; the interval draws what nobody labelled as `corrected_share` does.
    """
    strata = [stratum for stratum in strata if stratum.size]
    labelled = sum(stratum.labelled for stratum in strata)
    good = sum(stratum.good for stratum in strata)
    said = {stratum.passed for stratum in strata}
    if not labelled or (len(said) == 1 and good == labelled * said.pop()):
        return None
    generator = np.random.default_rng(_SEED)
    tables, mean = np.zeros((_DRAWS, 2, 2)), np.zeros((2, 2))
    for stratum in strata:
        rest, row = stratum.size - stratum.labelled, int(stratum.passed)
        share = generator.beta(_PRIOR + stratum.good, _PRIOR + stratum.labelled - stratum.good, size=_DRAWS)
        drawn = stratum.good + generator.binomial(rest, share)
        tables[:, row] += np.stack([stratum.size - drawn, drawn], axis=1)
        expected = _expected(Stratum(*stratum[1:]), good / labelled)
        mean[row] += (stratum.size - expected, expected)
    found = kappas(tables)
    low, high = np.nanquantile(found, [0.5 - confidence / 2, 0.5 + confidence / 2]).tolist()
    return Estimate(float(kappas(mean)), float(np.nanstd(found)), (low, high))


def allocate(sizes: Sequence[int], deviations: Sequence[float], labels: int, *, floor: int = 0) -> list[int]:
    """How many records of each stratum to label, `labels` in all: proportional to size times standard deviation (Neyman 1934), at least
    `floor`, at most all."""
    weights = [size * deviation for size, deviation in zip(sizes, deviations, strict=True)]
    total = sum(weights) or 1.0
    return [min(size, max(floor, round(labels * weight / total))) for size, weight in zip(sizes, weights, strict=True)]


def labels_needed(half_width: float, sizes: Sequence[int], deviations: Sequence[float], *, confidence: float = 0.95) -> int:
    """Labels, allocated as by `allocate`, that give an interval of +- `half_width`; at most all records (Cochran 1977, 5.25)."""
    if not half_width > 0:
        raise InputError(f"a half width of {half_width!r} is none; give a fraction above 0, e.g. 0.035")
    size = sum(sizes)
    first = sum(n * d for n, d in zip(sizes, deviations, strict=True)) / size
    second = sum(n * d * d for n, d in zip(sizes, deviations, strict=True)) / size
    error = half_width / normal_quantile(0.5 + confidence / 2)
    return min(size, math.ceil(first**2 / (error**2 + second / size)))


def _expected(stratum: Stratum, otherwise: float) -> float:
    """Good records of a stratum; where nobody labelled one, at the share of all labels."""
    return stratum.size * (stratum.good / stratum.labelled if stratum.labelled else otherwise)


def _beta_binomial(trials: int, a: float, b: float) -> Floats:
    """Probabilities of 0..trials successes, by the ratio of neighbors."""
    k = np.arange(trials, dtype=np.float64)
    logs = np.concatenate([[0.0], np.cumsum(np.log((trials - k) * (k + a)) - np.log((k + 1) * (trials - k - 1 + b)))])
    chances = np.exp(logs - logs.max())
    return chances / chances.sum()


def _sum_of(parts: Sequence[Floats]) -> Floats:
    """Probabilities of the sum of independent counts."""
    length = sum(len(part) - 1 for part in parts) + 1
    if length <= 4096:
        total = parts[0]
        for part in parts[1:]:
            total = np.convolve(total, part)
        return total
    points = 1 << (length - 1).bit_length()
    spectrum = np.ones(points // 2 + 1, dtype=np.complex128)
    for part in parts:
        spectrum *= np.fft.rfft(part, points)
    return np.clip(np.fft.irfft(spectrum, points)[:length], 0.0, None)
