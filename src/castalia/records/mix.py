"""What a mix is asked for: how alike two prompts may be, and quotas for parts of a dataset."""

from typing import Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from castalia.records.base import CATEGORIES, Difficulty, Frozen
from castalia.records.sft import SftKind

NEAR = 0.9
"""Two prompts are near-duplicates from this Jaccard similarity of their word trigrams on."""
EACH = "*"
"""As the value of a field: every value that the field takes has the quota by itself."""


class Quota(Frozen):
    """How many records a part of a dataset may and should have. A field that is left out makes no difference."""

    dataset: Literal["sft", "preferences", "rewards", "replay"] = Field(default="sft", description="The dataset it is about.")
    category: str | None = Field(default=None, description="A category, or `*`: each by itself.")
    node: str | None = Field(default=None, description="Key of a taxonomy node, which is a part of the domain; or `*`.")
    difficulty: str | None = Field(default=None, description="`easy`, `medium`, `hard`, or `*`; only examples of `sft` have one.")
    kind: str | None = Field(
        default=None, description="Kind of an example, what decided a pair, kind of a reward's check, type of a failure; or `*`."
    )
    at_most: int | None = Field(default=None, ge=0, description="Records over this number are left out.")
    at_least: int = Field(default=0, ge=0, description="Fewer are reported as missing.")

    @field_validator("category")
    @classmethod
    def _known_category(cls, value: str | None) -> str | None:
        return _one_of(value, CATEGORIES)

    @field_validator("difficulty")
    @classmethod
    def _known_difficulty(cls, value: str | None) -> str | None:
        return _one_of(value, get_args(Difficulty))

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.difficulty is not None and self.dataset != "sft":
            raise ValueError(f"a quota of {self.dataset!r} names a difficulty; only records of 'sft' have one: leave it out")
        if self.dataset == "sft":
            _one_of(self.kind, get_args(SftKind))
        if self.at_most is None and not self.at_least:
            raise ValueError("a quota needs `at_most`, `at_least`, or both")
        if self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"a quota of at least {self.at_least} and at most {self.at_most} can't be met; give at_least <= at_most")
        return self


class Mix(Frozen):
    """What of the records that passed quality control is used."""

    near_duplicates: float | None = Field(
        default=NEAR,
        gt=0,
        le=1,
        description="Of two prompts of a dataset as alike as this (Jaccard similarity of their word trigrams) one is used; null: both.",
    )
    quotas: tuple[Quota, ...] = Field(default=(), description="Quotas by category x node x difficulty x kind; each is met for itself.")


def _one_of(value: str | None, known: tuple[str, ...]) -> str | None:
    if value not in (None, EACH, *known):
        raise ValueError(f"{value!r} is not among {', '.join(known)} and {EACH!r}")
    return value
