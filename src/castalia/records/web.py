"""From a query to a fetched page."""

from typing import ClassVar, Literal

from pydantic import Field

from castalia.records.base import Category, Difficulty, Record
from castalia.records.licence import LicenceDecision

Wanted = Literal[
    "reference", "definition", "specification", "tutorial", "worked-example", "repository", "policy", "dialogue", "sop", "runbook",
    "agent-trace",
]  # fmt: skip


class Query(Record):
    """One search that the acquisition specification asks for."""

    PREFIX: ClassVar[str] = "query"

    text: str = Field(description="The words to search for.")
    node: str = Field(description="Key of the taxonomy node it should fill.")
    category: Category = Field(description="Category of that node.")
    wanted: Wanted = Field(description="The kind of page that would serve.")
    difficulty: Difficulty = Field(default="medium", description="For whom the wanted pages are: beginners, practitioners or experts.")
    site: str | None = Field(default=None, description="Only this site, as a URL prefix.")
    language: str = Field(default="en", description="BCP 47 language of the wanted pages.")
    round: int = Field(
        default=0, ge=0, description="0 when planned before anything was collected, else the review of collected pages it came from."
    )


class CoverageGap(Record):
    """A cell of the coverage that was searched for and for which no page was kept: handed back to the planning."""

    PREFIX: ClassVar[str] = "gap"

    round: int = Field(ge=1, description="The review of collected pages that it is handed to.")
    after: str = Field(description="Hash of the queries that were collected for before; a gap of another plan counts for nothing.")
    node: str = Field(description="Key of the taxonomy node.")
    difficulty: Difficulty = Field(description="For whom the missing pages are.")
    style: str = Field(description="The style of the missing pages, a column of the coverage table.")


class ExampleGap(Record):
    """A cell of the coverage from which too few examples were accepted: handed back to the planning."""

    PREFIX: ClassVar[str] = "exgap"

    round: int = Field(ge=1, description="The round of searches that it is handed to; rounds count those for missing pages, too.")
    after: str = Field(description="Hash of the queries that were collected for before; a gap of another plan counts for nothing.")
    node: str = Field(description="Key of the taxonomy node.")
    difficulty: Difficulty = Field(description="Of the missing examples.")
    style: str = Field(description="The style of pages such examples come from, a column of the coverage table.")
    examples: int = Field(ge=0, description="How many were accepted of what the quota is about.")
    wanted: int = Field(ge=1, description="How many the quota asks for.")


class Page(Record):
    """One fetched page whose licence was decided. The bytes as received lie in the archive under `body_sha256`;
    the time of the fetch stands there too, so that it is no part of any dataset's bytes."""

    PREFIX: ClassVar[str] = "page"

    url: str = Field(description="Canonical URL.")
    media_type: str = Field(description="Sniffed media type, e.g. `text/html`.")
    html: str = Field(description="The body, decoded.")
    body_sha256: str = Field(description="Hash of the body as received: its name in the archive.")
    licence: LicenceDecision = Field(description="The decision and all its evidence.")
    queries: tuple[str, ...] = Field(default=(), description="Ids of the queries that led here.")
    topic: str = Field(default="", description="Key of the taxonomy node it fits best, where known.")
