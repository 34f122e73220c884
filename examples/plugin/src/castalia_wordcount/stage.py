"""A stage: counts the words of every document."""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from castalia.engine import Params, Stage
from castalia.records import Document, Provenance, Record, Reject


class WordCount(Record):
    """How long a document is."""

    PREFIX: ClassVar[str] = "words"

    url: str = Field(description="Canonical URL of the document.")
    words: int = Field(description="Words outside code blocks.")


class CountParams(Params):
    """What decides the result."""

    min_words: int = Field(1, ge=0, description="Documents with fewer words are rejected.")


def count_words(document: Document, params: CountParams) -> Iterator[WordCount | Reject]:
    """One WordCount per document, or a Reject with the reason."""
    words = sum(len(block.text.split()) for block in document.blocks if block.kind != "code")
    parents = Provenance(parents=(document.id,))
    if words < params.min_words:
        yield Reject(stage="count_words", subject=document.url, reason="too-short", detail=f"{words} words", provenance=parents)
        return
    yield WordCount(url=document.url, words=words, provenance=parents)


STAGE = Stage(
    name="count_words",
    version=1,
    run=count_words,
    params=CountParams,
    reads={"documents": Document},
    writes={"word_counts": WordCount},
    shape="map",
)
