"""A page as clean structured text: numbered, typed blocks."""

from typing import ClassVar, Literal

from pydantic import Field

from castalia.records.base import Frozen, Record
from castalia.records.licence import LicenceDecision

BlockKind = Literal["heading", "paragraph", "list", "code", "table", "quote", "math", "image"]


class Block(Frozen):
    """One block. Atoms cite blocks by `number`, so numbers never change once a document exists."""

    number: int = Field(description="Position in the document, from 0, without gaps.")
    kind: BlockKind = Field(description="What it is.")
    text: str = Field(description="Its text; code byte for byte; list items one per line after `- `; table rows as Markdown.")
    level: int = Field(default=0, description="1-6 for headings, nesting depth for lists, otherwise 0.")
    language: str = Field(default="", description="Language of a code block, where the page states it.")
    rows: tuple[tuple[str, ...], ...] = Field(default=(), description="Cells of a table, row by row.")
    header_rows: int = Field(default=0, description="How many of `rows` are header.")
    source_offset: int = Field(default=-1, description="Character offset of the block's element in the page's HTML, -1 where unknown.")


class Document(Record):
    """The text of one page."""

    PREFIX: ClassVar[str] = "doc"

    url: str = Field(description="Canonical URL of the page.")
    title: str = Field(description="Title of the page.")
    language: str = Field(default="", description="BCP 47 language, empty where unknown.")
    author: str = Field(default="", description="Author where the page states one; several are separated by commas.")
    published: str = Field(default="", description="ISO 8601 date or time of publication where stated.")
    modified: str = Field(default="", description="ISO 8601 date or time of the last change where stated.")
    blocks: tuple[Block, ...] = Field(description="The blocks in reading order.")
    licence: LicenceDecision = Field(description="Carried from the page.")
    topic: str = Field(default="", description="Carried from the page.")
    redactions: int = Field(default=0, description="How many spans of personal data were replaced.")
