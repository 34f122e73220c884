"""What the ledger knows about prompts, drawn toward typical values while it knows little."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from castalia.oracle import PromptTotals

PSEUDO_CALLS = 2
"""A typical ratio of calls weighs as much as so many answers in the ledger."""
PSEUDO_ANSWERS = 0.25
"""A typical length weighs as much as so many: answers of one model to one prompt differ by a third, typical lengths from theirs by two
thirds, and the best weight is the ratio of the squares."""
UNSURE = 0.4
"""Relative error of a typical value that nothing confirms yet."""
SURE = 0.02


class Ratio(NamedTuple):
    """How many calls of one prompt follow from those of another."""

    value: float
    error: float
    """Relative."""


class Seen:
    """What the ledger knows about prompts."""

    def __init__(self, rows: Sequence[PromptTotals]):
        self._rows = rows

    def asked(self, stage: str, prompt: str, model: tuple[str, str] | None = None) -> int:
        """Calls so far, repairs not counted; of one (provider, model) only, where given."""
        return sum(row.calls - row.repairs for row in self._of(stage, prompt) if model in (None, (row.provider, row.model)))

    def _of(self, stage: str, prompt: str) -> list[PromptTotals]:
        return [row for row in self._rows if row.stage == stage and row.prompt == prompt]

    def ratio(self, stage: str, prompt: str, base: tuple[str, str], typical: float) -> Ratio:
        """Calls of `prompt` per call of `base` = (stage, prompt)."""
        calls, bases = self.asked(stage, prompt), self.asked(*base)
        value = (calls + PSEUDO_CALLS * typical) / (bases + PSEUDO_CALLS)
        return Ratio(value, min(UNSURE, max(SURE, 1 / math.sqrt(bases + 1))) if bases else UNSURE)

    def repairs(self, stage: str, prompt: str) -> float:
        """Repairs per call."""
        rows = self._of(stage, prompt)
        return sum(row.repairs for row in rows) / max(1, sum(row.calls - row.repairs for row in rows))

    def tokens(self, stage: str, prompt: str, model: tuple[str, str], typical: tuple[float, float]) -> tuple[float, float, float, int]:
        """(in, out, relative error, answers it rests on) of one call: of the same model where it has answered, else of any."""
        rows = self._of(stage, prompt)
        rows = [row for row in rows if (row.provider, row.model) == model] or rows
        calls = sum(row.calls for row in rows)
        tokens_in, tokens_out = (
            (sum(getattr(row, name) for row in rows) + PSEUDO_ANSWERS * usual) / (calls + PSEUDO_ANSWERS)
            for name, usual in zip(("tokens_in", "tokens_out"), typical, strict=True)
        )
        if calls < 2:
            return tokens_in, tokens_out, UNSURE, calls
        spread = max(_spread(rows, "in", calls), _spread(rows, "out", calls))
        return tokens_in, tokens_out, min(UNSURE, max(SURE, 2 * spread / math.sqrt(calls))), calls


def _spread(rows: Sequence[PromptTotals], way: str, calls: int) -> float:
    """Standard deviation over mean."""
    mean = sum(getattr(row, f"tokens_{way}") for row in rows) / calls
    square = sum(getattr(row, f"squares_{way}") for row in rows) / calls
    return math.sqrt(max(0.0, square - mean * mean)) / mean if mean else 0.0
