"""Planted records for layer 3: what a page says that the record doesn't cite, and the opposite of it. The page must be among the passages
that are shown, so that the truth lies before the judge."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from castalia.quality.check import CheckContext
from castalia.quality.planting import Maker, Planted, denial, is_plain, question_about, restated, statement
from castalia.quality.sources.passage import LEAST_WORDS
from castalia.quality.view import View
from castalia.records import CanaryKind, Document, content_hash
from castalia.scoring.bm25 import words_of

_TRIES = 12  # places per record; each costs a search of the passages
_NEAR = 500  # places that they are chosen from: those from a place of the record's own on


class _Place(NamedTuple):
    """A block with a statement that can be understood by itself."""

    document: Document
    number: int
    text: str


def facts_canaries(views: Sequence[View], ctx: CheckContext) -> Mapping[CanaryKind, Sequence[Maker]]:
    """How canaries of layer 3 are made."""
    places = _places(ctx.documents)

    def good(view: View) -> Planted | None:
        return _shown(view, places, ctx, denied=False)

    def bad(view: View) -> Planted | None:
        return _shown(view, places, ctx, denied=True)

    return {"good": (good,), "bad": (bad,), "injected": (bad,)}


def _shown(view: View, places: Sequence[_Place], ctx: CheckContext, *, denied: bool) -> Planted | None:
    """A statement of another page, or its denial, where that page is among the passages for it."""
    for document, number, text in _elsewhere(view, places):
        question, _ = question_about(document, number)
        answer = denial(text) if denied else text
        made = restated(view, question, answer, view.evidence)
        if (document, number) in ctx.passages.about(made, ctx.params.passages_per_record):
            if denied:
                return Planted("bad", f"denies a sentence of {document.url}", made, ("fail",))
            return Planted("good", f"a sentence of {document.url}", made, ("pass", "flag"))
    return None


def _places(documents: Mapping[str, Document]) -> list[_Place]:
    """All places that may be among the passages for their own statement."""
    return [
        _Place(document, block.number, text)
        for document in sorted(documents.values(), key=lambda document: document.url)
        for block in document.blocks
        if block.kind in ("paragraph", "quote") and len(words_of(block.text)) >= LEAST_WORDS and (text := statement(block.text)) is not None
    ]


def _elsewhere(view: View, places: Sequence[_Place]) -> Iterator[_Place]:
    """Places on pages that the record doesn't cite, plain statements first."""
    cited = {evidence.url for evidence in view.evidence}
    subject = view.record.subject
    first = int(content_hash([subject])[:8], 16) % max(1, len(places))
    turned = (places[(first + step) % len(places)] for step in range(len(places)))
    near = list(islice((place for place in turned if place.document.url not in cited), _NEAR))
    yield from sorted(near, key=lambda place: (not is_plain(place.text), content_hash([subject, place.document.url, place.number])))[
        :_TRIES
    ]
