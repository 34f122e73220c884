"""Scorers without an opinion, shared by quality checks, rewards and evaluation: one file per family.

text: exact, contains, regex · choice: choice, sequence · numeric · constraints · execution · state

Beside them stands what says whether a check deserves trust (proof, examination, with wrong_programs), what tests nobody has seen (hidden),
and how texts are ranked by their words (bm25).
"""

from castalia.scoring.constraints import RULES
from castalia.scoring.score import score
from castalia.scoring.values import Score

__all__ = ["RULES", "Score", "score"]
