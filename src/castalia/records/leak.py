"""Overlap between training data and protected evaluation items."""

from typing import ClassVar, Literal

from pydantic import Field

from castalia.records.base import Record


class Leak(Record):
    """One training record that is too close to a GATE or VAULT item. The item is named by hash only: items are never shown."""

    PREFIX: ClassVar[str] = "leak"

    record: str = Field(description="Id of the training record.")
    dataset: str = Field(description="Dataset it belongs to.")
    item: str = Field(description="Id of the protected item.")
    bank: Literal["gate", "vault"] = Field(description="Its bank.")
    method: str = Field(description="How it was found, e.g. `exact`, `13-gram`.")
    similarity: float = Field(description="In [0, 1].")
