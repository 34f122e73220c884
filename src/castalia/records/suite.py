"""Evaluation items and what a target did on them."""

from typing import ClassVar, Literal

from pydantic import Field

from castalia.records.base import Category, Record
from castalia.records.check import Check
from castalia.records.conversation import Conversation

Bank = Literal["dev", "gate", "vault"]
FailureType = Literal[
    "format",
    "retrieval",
    "reasoning",
    "arithmetic",
    "code-runtime",
    "code-wrong",
    "tool-choice",
    "tool-arguments",
    "state-lost",
    "over-refusal",
    "unsafe",
    "unfaithful",
    "uncalibrated",
]


class SuiteItem(Record):
    """One question to the target. DEV is mined for failures, GATE decides, VAULT is opened at a release only."""

    PREFIX: ClassVar[str] = "item"

    subject: str = Field(description="Stable name, `NODE/BANK/NUMBER`.")
    bank: Bank = Field(description="Which bank.")
    category: Category = Field(description="Category of its node.")
    node: str = Field(description="Key of the taxonomy node.")
    cluster: str = Field(description="Items of one cluster are not independent: errors are clustered by it.")
    prompt: Conversation = Field(description="Ends with the user's message.")
    check: Check = Field(description="What a right answer is.")
    reference: str = Field(description="A right answer, for people and for scorer tests.")
    max_tokens: int = Field(default=96, description="Upper bound of the answer in the target's tokens, all turns together.")


class Failure(Record):
    """A wrong answer of the target on a DEV item: the raw material of the replay set."""

    PREFIX: ClassVar[str] = "fail"

    item: SuiteItem = Field(description="The item.")
    answer: str = Field(description="What the target wrote: final message, or raw text where it could not be parsed.")
    failure_type: FailureType = Field(description="What went wrong.")
    target: str = Field(description="The target and how it was sampled.")
