"""Keeps one document of each page, of each content and of each family of near-duplicates.

Four levels: the address, the exact text, the measured similarity of words, and, where asked for, the meaning. Every
near-duplicate is an edge that was verified: signatures only propose. Documents are read three times, one after the other;
what is held of each is a few hundred bytes, its words wait on disk.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from pydantic import Field

from castalia.engine.context import Context
from castalia.engine.stage import Params
from castalia.errors import InputError
from castalia.records import Document, Likeness, Provenance, Reject
from castalia.stages.deduplicate.boilerplate import Boilerplate
from castalia.stages.deduplicate.candidates import PROBES, Pairs, band_pairs, merged, probe_pairs, probes_of
from castalia.stages.deduplicate.meaning import Meaning, alike
from castalia.stages.deduplicate.minhash import BANDS, band_keys
from castalia.stages.deduplicate.shelf import Shelf
from castalia.stages.deduplicate.verify import Facts, Thresholds, are_one, is_legal
from castalia.stages.deduplicate.words import shingles, words_of
from castalia.web.urls import url_key

_STRUCTURE = frozenset(["heading", "list", "code", "table", "quote", "math"])


class DeduplicateParams(Params):
    """When two documents are one."""

    near_duplicate: float = Field(0.5, gt=0, le=1, description="Jaccard similarity of five-word shingles from which two documents are one.")
    contained: float = Field(
        0.7, gt=0, le=1, description="Share of a document's shingles that another holds, from which it is a part of it."
    )
    meaning: Meaning = Field(
        "off", description="Documents that say the same in other words: `label` writes `likenesses`, `keep-one` rejects the later one too."
    )
    meaning_similarity: float = Field(0.8, gt=0, le=1, description="Cosine similarity of embeddings from which two documents are alike.")
    embedder: str = Field("wordllama", description="`wordllama`, or an installed plug-in of the group `castalia.embedders`.")


class _Card(NamedTuple):
    """What is held of a document. Sorting cards puts the copy to keep first."""

    unlicensed: bool
    length_class: int
    """Lengths within ten percent are one class, negative, so that structure decides between them."""
    structure: int
    length: int
    url: str
    id: str
    position: int
    content: bytes


def deduplicate_documents(
    inputs: Mapping[str, Sequence[Document]], params: DeduplicateParams, ctx: Context
) -> Iterator[Document | Likeness | Reject]:
    """Kept documents, and a reject naming the kept one for every other.

    Which copy stays: a verified licence before none, then the longer text, among about equally long ones that with more
    structure, then the first URL in sorted order. Reject reasons: `duplicate-url`, `duplicate-content`, `near-duplicate`,
    `same-meaning`. Raises InputError when there is no document: everything below would be paid for and lead to nothing.
    """
    del ctx
    documents = inputs["documents_scrubbed"]
    boilerplate = Boilerplate()
    cards = sorted(_card(position, document, boilerplate) for position, document in enumerate(documents))
    boilerplate.finish()
    if not cards:
        raise InputError(
            "no collected page gave any text to work with; `castalia show normalize.rejects` and `castalia show collect.rejects` say why, "
            "page by page. Name other `sources.sites`, or pages that hold their text without a script"
        )
    rejects: list[Reject] = []
    unique = list(_unique(cards, rejects))
    kept, likenesses = _near(documents, unique, boilerplate, params, rejects)
    for position, document in enumerate(documents):
        if position in kept:
            yield document
    yield from likenesses
    yield from rejects


def _card(position: int, document: Document, boilerplate: Boilerplate) -> _Card:
    boilerplate.add(document)
    length = sum(len(block.text) for block in document.blocks)
    structure = sum(block.kind in _STRUCTURE for block in document.blocks)
    length_class = round(math.log(length + 1) / math.log(1.1))
    unlicensed = document.licence.verdict != "allowed"
    content = hashlib.sha256(" ".join(_text(document).split()).encode("utf-8", "surrogatepass")).digest()
    return _Card(unlicensed, -length_class, -structure, -length, document.url, document.id, position, content if length else b"")


def _unique(cards: Sequence[_Card], rejects: list[Reject]) -> Iterator[_Card]:
    """The first card of every address and of every content."""
    by_url: dict[str, _Card] = {}
    by_content: dict[bytes, _Card] = {}
    for card in cards:
        key = url_key(card.url)
        if key in by_url:
            rejects.append(_reject(card, "duplicate-url", by_url[key], f"same address as {by_url[key].url}"))
        elif card.content and card.content in by_content:
            first = by_content[card.content]
            rejects.append(_reject(card, "duplicate-content", first, f"same text as {first.url}"))
        else:
            by_url[key] = by_content[card.content] = card
            yield card


def _near(
    documents: Sequence[Document], cards: Sequence[_Card], boilerplate: Boilerplate, params: DeduplicateParams, rejects: list[Reject]
) -> tuple[set[int], list[Likeness]]:
    """Positions of the documents that stay, and what was found alike in meaning among them. Numbers are places in `cards`."""
    numbers = {card.position: number for number, card in enumerate(cards)}
    keys = np.zeros((len(cards), BANDS), dtype=np.uint64)
    probes = np.zeros((len(cards), PROBES), dtype=np.uint64)
    shelved = [0] * len(cards)
    facts = [Facts("", legal=False)] * len(cards)
    with Shelf() as shelf:
        for position, document in enumerate(documents):
            if position not in numbers:
                continue
            number = numbers[position]
            text = boilerplate.text(document)
            words = words_of(text)
            hashes = shingles(words)
            bands = band_keys(hashes)
            if bands is not None:
                keys[number], probes[number] = bands, probes_of(hashes)
            facts[number] = Facts(document.title, legal=is_legal(text))
            shelved[number] = len(shelf)
            shelf.put(words)
        pairs = merged(band_pairs(keys), probe_pairs(probes, (shingles(shelf[place]) for place in shelved)))
        kept_by, likeness = _families(pairs, shelf, shelved, facts, Thresholds(params.near_duplicate, params.contained))
    for number, keeper in enumerate(kept_by):
        if keeper != number:
            kept = cards[keeper]
            rejects.append(_reject(cards[number], "near-duplicate", kept, f"{likeness[number]:.0%} of the text is that of {kept.url}"))
    staying = {cards[number].position for number, keeper in enumerate(kept_by) if keeper == number}
    return _meaning(documents, staying, {card.position: card for card in cards}, params, rejects)


def _families(
    pairs: Pairs, shelf: Shelf, shelved: Sequence[int], facts: Sequence[Facts], thresholds: Thresholds
) -> tuple[list[int], list[float]]:
    """For each document the number of the kept one that it repeats most, or its own, and by how much.

    Numbers come in order of preference, and each document is compared with kept ones only: no chain of small differences can
    join two documents that differ much.
    """
    kept_by = list(range(len(facts)))
    likeness = [0.0] * len(facts)
    ordered: list[tuple[int, int]] = pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))].tolist()
    for one, other in ordered:
        if kept_by[one] != one:
            continue
        found = are_one(shelf[shelved[one]], shelf[shelved[other]], facts[one], facts[other], thresholds)
        if found > likeness[other]:
            kept_by[other], likeness[other] = one, found
    return kept_by, likeness


def _meaning(
    documents: Sequence[Document], staying: set[int], cards: Mapping[int, _Card], params: DeduplicateParams, rejects: list[Reject]
) -> tuple[set[int], list[Likeness]]:
    """Proposals by meaning. Nothing leaves for them unless the params say so."""
    if params.meaning == "off":
        return staying, []
    order = sorted(staying)
    texts = (_text(document) for position, document in enumerate(documents) if position in staying)
    kept, likenesses = set(staying), list[Likeness]()
    found = alike(texts, params.embedder, params.meaning_similarity)
    for first, second, similarity in sorted(
        ((*sorted((cards[order[a]], cards[order[b]])), cosine) for a, b, cosine in found), reverse=False
    ):
        if params.meaning == "label":
            provenance = Provenance(parents=(first.id, second.id))
            likenesses.append(
                Likeness(document=first.id, other=second.id, similarity=similarity, embedder=params.embedder, provenance=provenance)
            )
        elif first.position in kept and second.position in kept:
            kept.discard(second.position)
            rejects.append(_reject(second, "same-meaning", first, f"cosine similarity {similarity:.3f} with {first.url}"))
    return kept, likenesses


def _text(document: Document) -> str:
    return "\n".join(block.text for block in document.blocks)


def _reject(card: _Card, reason: str, kept: _Card, detail: str) -> Reject:
    return Reject(
        stage="deduplicate",
        subject=card.url,
        reason=reason,
        detail=f"kept {kept.id}: {detail}",
        provenance=Provenance(parents=(card.id,)),
    )
