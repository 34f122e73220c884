"""Two documents that seem to say the same in other words."""

from typing import ClassVar

from pydantic import Field

from castalia.records.base import Record


class Likeness(Record):
    """A proposal: similar in meaning is not equal, so nobody is removed for it unless the configuration says so."""

    PREFIX: ClassVar[str] = "like"

    document: str = Field(description="Id of the document that would be kept.")
    other: str = Field(description="Id of the one that is like it.")
    similarity: float = Field(description="Cosine of the angle between their embeddings, in [-1, 1].")
    embedder: str = Field(description="What made the embeddings.")
