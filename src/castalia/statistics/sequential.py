"""Many looks without many false alarms: Holm across guards, alpha spent over rounds, an e-process within a round."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from castalia.errors import InputError


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979), in the order given: reject all hypotheses whose value is at most alpha."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def holm_levels(p_values: Sequence[float], alpha: float) -> list[float]:
    """The level at which Holm's procedure tests each hypothesis, in the order given: alpha/m for the smallest p-value up to alpha."""
    levels = [0.0] * len(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        levels[index] = alpha / (len(p_values) - rank)
    return levels


def alpha_for_round(number: int, total: float = 0.05) -> float:
    """Share of the error budget for round `number` (from 1): total * 6 / (pi * number)^2. Over all rounds they sum to `total`."""
    if number < 1:
        raise InputError(f"round {number} is not a round; rounds count from 1")
    return total * 6 / (math.pi * number) ** 2


def betting_e_process(differences: ArrayLike, cap: float = 0.5) -> NDArray[np.float64]:
    """Capital after each observation of a gambler who starts with 1 and bets that the mean difference is above 0.

    Observations lie in [-1, 1] and are independent, one per cluster. If the mean is at most 0, the chance that the capital ever
    reaches 1/alpha is at most alpha (Ville), so it may be watched and stopped at any time. The bet before observation t uses only
    earlier ones: mean / (variance + mean^2), shrunk by one prior observation, within [0, cap] (Waudby-Smith & Ramdas 2024, aGRAPA).
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.size and (not np.isfinite(values).all() or np.abs(values).max() > 1):
        raise InputError(f"a betting e-process needs values within [-1, 1], got up to {np.abs(values).max()!r}; scores lie in [0, 1]")
    if not 0 < cap < 1:
        raise InputError(f"cap {cap!r} must lie strictly between 0 and 1: a bet of everything can lose everything")
    capital = np.empty_like(values)
    wealth, total, squares = 1.0, 0.0, 1.0
    for t, value in enumerate(values.tolist()):
        mean, second_moment = total / (t + 1), squares / (t + 1)
        wealth *= 1 + min(cap, max(0.0, mean / second_moment)) * value
        capital[t] = wealth
        total, squares = total + value, squares + value * value
    return capital
