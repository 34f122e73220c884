"""Models under test, behind one question: which token ids follow these?"""

from castalia.evaluation.targets.target import Completion, Target

__all__ = ["Completion", "Target"]
