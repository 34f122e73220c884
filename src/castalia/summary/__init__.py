"""Everything a reader of the report wants to see, gathered from store, ledger and training folder as plain values.

data.py: what was collected, made, kept and paid. balance.py: how what was kept is spread. training.py: what was trained.
comparison.py: what the decision compared.
"""

from castalia.summary.comparison import Comparison, Example, Round, ScoreRow
from castalia.summary.data import LAYERS, CoverageRow, FunnelRow, LicenceRow, StageRow, Usage
from castalia.summary.report import Summary, summarize
from castalia.summary.training import Curve, TrainingRow

__all__ = [
    "LAYERS", "Comparison", "CoverageRow", "Curve", "Example", "FunnelRow", "LicenceRow", "Round", "ScoreRow", "StageRow", "Summary",
    "TrainingRow", "Usage", "summarize",
]  # fmt: skip
