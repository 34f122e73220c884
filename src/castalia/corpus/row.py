"""A row of the corpus: a document as a reader of Parquet wants it, with where its page came from."""

from typing import ClassVar

from pydantic import Field

from castalia.records import Block, Document, LicenceEvidence, Provenance, Record, ScopedLicence
from castalia.web.archive import Place
from castalia.web.extract import markdown_text
from castalia.web.urls import host_of


class CorpusDocument(Record):
    """One document of the corpus. `id` is that of the document in the store, which all other commands know."""

    PREFIX: ClassVar[str] = "doc"

    url: str = Field(description="Canonical URL of the page.")
    host: str = Field(description="Host of that URL.")
    title: str = Field(description="Title of the page.")
    text: str = Field(description="The document as Markdown.")
    language: str = Field(description="BCP 47 language, empty where unknown.")
    licence: str = Field(description="SPDX id or expression.")
    licence_parts: tuple[ScopedLicence, ...] = Field(
        description="Parts under a licence of their own, e.g. `code`; one that is not allowed was left out."
    )
    licence_reason: str = Field(description="Why, in one sentence.")
    licence_evidence: tuple[LicenceEvidence, ...] = Field(description="Everything that was seen.")
    attribution: str = Field(description="The notice that has to be carried on.")
    fetched_at: str = Field(description="When the page was fetched, ISO 8601 in UTC.")
    author: str = Field(description="As the page states it, empty where it doesn't.")
    published: str = Field(description="ISO 8601 date that the page states, empty where it doesn't.")
    modified: str = Field(description="ISO 8601 date that the page states, empty where it doesn't.")
    topic: str = Field(description="Key of the taxonomy node it fits best, where there was a taxonomy.")
    words: int = Field(description="Words of the text.")
    redactions: int = Field(description="Spans of personal data that were replaced.")
    blocks: tuple[Block, ...] = Field(description="The typed blocks that the text was made of.")
    body_sha256: str = Field(description="Hash of the page's body as received.")
    warc_file: str = Field(description="Archive file that holds the response, beside `index.sqlite`.")
    warc_offset: int = Field(description="First byte of its gzip member.")
    warc_length: int = Field(description="Bytes of its gzip member.")
    warc_record_id: str = Field(description="Its WARC-Record-ID.")


def corpus_document(document: Document, page: str, body_sha256: str, place: Place | None) -> CorpusDocument:
    """The row of `document`, which was made from the page with that id and body."""
    text = markdown_text(document.blocks)
    return CorpusDocument(
        url=document.url,
        host=host_of(document.url),
        title=document.title,
        text=text,
        language=document.language,
        licence=document.licence.spdx or "",
        licence_parts=document.licence.parts,
        licence_reason=document.licence.reason,
        licence_evidence=document.licence.evidence,
        attribution=document.licence.attribution,
        fetched_at=place.fetched_at if place else "",
        author=document.author,
        published=document.published,
        modified=document.modified,
        topic=document.topic,
        words=len(text.split()),
        redactions=document.redactions,
        blocks=document.blocks,
        body_sha256=body_sha256,
        warc_file=place.file if place else "",
        warc_offset=place.offset if place else -1,
        warc_length=place.length if place else 0,
        warc_record_id=place.record_id if place else "",
        provenance=Provenance(parents=(page,) if page else ()),
    )
