"""Supervised examples."""

from typing import ClassVar, Literal

from pydantic import Field

from castalia.records.atom import Evidence
from castalia.records.base import Category, Difficulty, Record, TeachingStyle
from castalia.records.check import Check
from castalia.records.conversation import Conversation

SftKind = Literal["grounded-answer", "worked-solution", "structured-explanation", "dialogue", "agent-trace"]


class SFTExample(Record):
    """A conversation whose last turn is a gold completion."""

    PREFIX: ClassVar[str] = "sft"

    subject: str = Field(description="Stable name, `SECTION/sft/NUMBER`.")
    section: str = Field(description="Passage it was written from: verdicts are asked for by section.")
    kind: SftKind = Field(description="What kind of example.")
    category: Category = Field(description="Category of its node.")
    node: str = Field(description="Key of the taxonomy node.")
    domain: str = Field(default="", description="Part of the domain: that of its node.")
    difficulty: Difficulty = Field(description="For curriculum.")
    style: TeachingStyle | None = Field(default=None, description="Style of its main atom.")
    conversation: Conversation = Field(description="Prompt and completion in Harmony terms.")
    evidence: tuple[Evidence, ...] = Field(description="What grounds the completion.")
    atoms: tuple[str, ...] = Field(description="Ids of the atoms it teaches.")
    check: Check | None = Field(default=None, description="How the completion is verified by execution or comparison.")

    def renamed(self, kind: str) -> str:
        """The subject of what is made from it: `SECTION/KIND/NUMBER`."""
        return f"/{kind}/".join(self.subject.rsplit("/sft/", 1))
