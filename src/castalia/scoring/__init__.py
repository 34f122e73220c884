"""Scorers without an opinion, shared by quality checks, rewards and evaluation: one file per family.

text: exact, contains, regex · choice: choice, sequence · numeric · constraints · execution · state
"""

from castalia.scoring.constraints import RULES
from castalia.scoring.score import score
from castalia.scoring.values import Score

__all__ = ["RULES", "Score", "score"]
