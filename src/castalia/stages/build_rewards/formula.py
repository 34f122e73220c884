"""How a check and a rubric become one reward."""

from statistics import fmean

from castalia.records import Rubric

RUBRIC_SHARE = 0.5
FORMULA = (
    "0 if the answer is empty or holds tokens of broken Harmony, or if the check fails, on its own tests or on hidden ones; else "
    "0.5 + 0.5 * mean(accuracy, safety, helpfulness, calibration) / 10. None where the check passed and a score of the rubric is missing. "
    "The rubric can't lift an answer that is unreadable or fails its check."
)


def combined_reward(right: bool, rubric: Rubric) -> float | None:
    """The reward in [0, 1] by `FORMULA`: that it is readable and passes its check gates, the rubric decides at most half."""
    if not right:
        return 0.0
    scores = (rubric.accuracy, rubric.safety, rubric.helpfulness, rubric.calibration)
    given = [score for score in scores if score is not None]
    if len(given) < len(scores):
        return None
    return (1 - RUBRIC_SHARE) + RUBRIC_SHARE * fmean(given) / 10


def is_disagreement(right: bool, rubric: Rubric) -> bool:
    """Whether judge and program point in opposite directions: right with accuracy at most 4, or not with at least 7."""
    if rubric.accuracy is None:
        return False
    return rubric.accuracy <= 4 if right else rubric.accuracy >= 7
