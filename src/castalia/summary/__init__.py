"""What people are shown, gathered from store, ledger, labels and training folder as plain values, for the terminal and for pages alike.

report.py     the whole report, from:
              data.py         what was collected, made, kept and paid
              people.py       what waits for people, and what their labels say of judges and of the set
              balance.py      how what was kept is spread
              training.py     what was trained
              comparison.py   what the decision compared
reviewing.py  a review under way; material.py: a record as a reviewer sees it
page.py       one page beside what was extracted from it
"""

from castalia.summary.comparison import Comparison, Example, Round, ScoreRow
from castalia.summary.data import LAYER_NAMES, CoverageRow, FunnelRow, LicenceRow, StageRow, Usage
from castalia.summary.report import Summary, summarize
from castalia.summary.training import Curve, TrainingRow

__all__ = [
    "LAYER_NAMES", "Comparison", "CoverageRow", "Curve", "Example", "FunnelRow", "LicenceRow", "Round", "ScoreRow", "StageRow", "Summary",
    "TrainingRow", "Usage", "summarize",
]  # fmt: skip
