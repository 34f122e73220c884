"""What the oracle answers when it plans searches, and when it reviews their coverage."""

from pydantic import Field

from castalia.records import Difficulty, Frozen
from castalia.records.web import Wanted


class WrittenQuery(Frozen):
    """One search."""

    node: str = Field(description="Key of the taxonomy node it should fill.")
    text: str = Field(description="The words to search for, as an expert would type them.")
    wanted: Wanted = Field(description="The kind of page that would serve.")
    difficulty: Difficulty = Field(
        default="medium", description="For whom the wanted pages are: easy for beginners, medium for practitioners, hard for experts."
    )
    site: str | None = Field(default=None, description="One of the given sites, where the search should stay on it; null for anywhere.")
    language: str = Field("en", description="BCP 47 language of the wanted pages.")


class WrittenQueries(Frozen):
    """The searches of one category."""

    queries: tuple[WrittenQuery, ...] = Field(description="The searches, most valuable first.")


class CoverageReview(Frozen):
    """What is missing, and searches that would fill it."""

    gaps: tuple[str, ...] = Field(
        default=(), description="Each gap in domain, difficulty or style, in one sentence; empty when there is none."
    )
    queries: tuple[WrittenQuery, ...] = Field(default=(), description="Searches for the gaps; empty when nothing is missing.")
