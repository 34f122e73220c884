"""Quality verdicts and the human review queue."""

from typing import ClassVar, Literal

from pydantic import Field

from castalia.records.base import Category, Record

Outcome = Literal["pass", "fail", "flag", "abstain", "waiting"]


class Verdict(Record):
    """What one check said of one record. Anything but `pass` or `flag` keeps the record out of a release."""

    PREFIX: ClassVar[str] = "verdict"

    record: str = Field(description="Id of the record.")
    dataset: str = Field(description="Dataset it belongs to.")
    layer: int = Field(description="1-6, see quality/layers.py.")
    check: str = Field(description="Name of the check.")
    outcome: Outcome = Field(description="`waiting`: the layer could not run here; the record waits, it does not pass.")
    reason: str = Field(description="Why, in one sentence.")
    quotes: tuple[str, ...] = Field(default=(), description="Exact quotes the verdict rests on.")


class ReviewItem(Record):
    """A record that waits for a person."""

    PREFIX: ClassVar[str] = "review"

    record: str = Field(description="Id of the record.")
    dataset: str = Field(description="Dataset it belongs to.")
    category: Category = Field(description="Category of the record.")
    stratum: str = Field(description="Stratum it was drawn from, e.g. `agree-pass`.")
    inclusion_probability: float = Field(description="Probability with which a record of this stratum was drawn.")
    verdicts: tuple[str, ...] = Field(default=(), description="Ids of the audited verdicts, hidden until the label is given.")
