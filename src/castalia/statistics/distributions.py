"""The few probability distributions that intervals and tests need, in double precision without SciPy."""

import math
from statistics import NormalDist

_NORMAL = NormalDist()
_TINY = 1e-300


def normal_cdf(x: float) -> float:
    """P(Z <= x) of the standard normal."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def normal_quantile(p: float) -> float:
    """The z with P(Z <= z) = p, for 0 < p < 1."""
    return _NORMAL.inv_cdf(p)


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b) for a, b > 0 and 0 <= x <= 1.

    Lentz's evaluation of the continued fraction (NIST Digital Library of Mathematical Functions, 8.17.22).
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast only below the mean; use the symmetry above it
        return 1 - incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d = 1 / _away_from_zero(1 + step * d)
            c = _away_from_zero(1 + step / c)
            fraction *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return front * fraction


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def t_cdf(x: float, df: float) -> float:
    """P(T <= x) of Student's t with `df` degrees of freedom; the normal for df = inf."""
    if math.isinf(df):
        return normal_cdf(x)
    if x == 0:
        return 0.5
    if math.isinf(x):
        return float(x > 0)
    square = x * x
    if square > df:  # two spellings of one tail: the other one would lose its digits here, and this one near zero
        tail = 0.5 * incomplete_beta(df / 2, 0.5, df / (df + square))
    else:
        tail = 0.5 * (1 - incomplete_beta(0.5, df / 2, square / (df + square)))
    return 1 - tail if x > 0 else tail


def t_quantile(p: float, df: float) -> float:
    """The x with P(T <= x) = p for Student's t, 0 < p < 1, found by bisection to the last digits."""
    if math.isinf(df):
        return normal_quantile(p)
    if p == 0.5:
        return 0.0
    if p > 0.5:
        return -t_quantile(1 - p, df)
    low, high = -1.0, 0.0
    while t_cdf(low, df) > p:
        low *= 2
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if t_cdf(middle, df) < p else (low, middle)
    return 0.5 * (low + high)


def binomial_tail(successes: int, trials: int) -> float:
    """P(X <= successes) for X ~ Binomial(trials, 1/2), exact."""
    return sum(math.comb(trials, k) for k in range(successes + 1)) / 2**trials
