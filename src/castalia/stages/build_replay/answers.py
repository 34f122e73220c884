"""What the oracle answers when it corrects a failure of the target."""

from pydantic import Field

from castalia.records import Frozen


class Correction(Frozen):
    """The corrected answer and what it teaches."""

    analysis: str = Field(default="", description="Short reasoning that leads to the right answer, or empty.")
    answer: str = Field(default="", description="The right answer, as the model should have given it; empty for items with tools.")
    practise: str = Field(description="What to practise, in one sentence.")
    weight: float = Field(default=1.0, gt=0, le=4, description="How much this failure should weigh in the curriculum, 1 = as any other.")
