"""What was replaced in a document, without what stood there."""

from typing import ClassVar

from pydantic import Field

from castalia.records.base import Record


class Redaction(Record):
    """One piece of personal data that has a pseudonym now. The original value is stored nowhere."""

    PREFIX: ClassVar[str] = "red"

    document: str = Field(description="Id of the document as it is now.")
    block: int = Field(description="Number of the block, -1 for the title.")
    start: int = Field(description="Where the pseudonym begins in the block's text, in characters.")
    end: int = Field(description="Where it ends.")
    kind: str = Field(description="What it was, e.g. `EMAIL`.")
    rule: str = Field(description="What decided, e.g. `luhn`, `cue`, or the name of a detector.")
    pseudonym: str = Field(description="What stands there now; equal values of a document share it.")
