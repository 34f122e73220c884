"""The result of scoring one answer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """`passed` only when all is right. `value` in [0, 1] is 1 exactly when passed; below, only `sequence`, `contains` and
    `execution` give partial credit, for rewards. `reason` says in a line what decided."""

    passed: bool
    value: float
    reason: str


def right(reason: str) -> Score:
    """A pass."""
    return Score(True, 1.0, reason)


def wrong(reason: str, value: float = 0.0) -> Score:
    """No pass, with the partial credit given. Credit stays below 1: only a pass is worth a pass."""
    return Score(False, min(max(value, 0.0), 0.99), reason)
