"""Keeps one document of each page, of each content and of each family of near-duplicates.

Four levels: the address, the exact text, the measured similarity of words, and, where asked for, the meaning. Every
near-duplicate is an edge that was verified: signatures only propose. Documents are read three times, one after the other;
what is held of each is a few hundred bytes, its words wait on disk.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from castalia.engine.context import Context
from castalia.engine.stage import Params
from castalia.errors import InputError
from castalia.records import Document, Likeness, Provenance, Reject
from castalia.stages.deduplicate.boilerplate import Boilerplate
from castalia.stages.deduplicate.candidates import PROBES, Pairs, band_pairs, merged, probe_pairs, probes_of
from castalia.stages.deduplicate.meaning import Meaning, alike
from castalia.stages.deduplicate.minhash import BANDS, band_keys
from castalia.stages.deduplicate.preference import Order, order_of
from castalia.stages.deduplicate.shelf import Shelf
from castalia.stages.deduplicate.verify import Text, Thresholds, are_one, is_legal
from castalia.stages.deduplicate.words import shingles, words_of


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


class Removed(NamedTuple):
    """A document that leaves, by number, and what it repeats."""

    number: int
    keeper: int
    reason: str
    similarity: float = 1.0


def deduplicate_documents(
    inputs: Mapping[str, Sequence[Document]], params: DeduplicateParams, ctx: Context
) -> Iterator[Document | Likeness | Reject]:
    """Kept documents, and a reject naming the kept one for every other.

    Which copy stays is said at `order_of`. Reject reasons: `duplicate-url`, `duplicate-content`, `near-duplicate`,
    `same-meaning`. Raises InputError when there is no document: everything below would be paid for and lead to nothing.
    """
    del ctx
    documents = inputs["documents_scrubbed"]
    boilerplate = Boilerplate()
    order = order_of(boilerplate.counted(documents))
    boilerplate.finish()
    if not len(order):
        raise InputError(
            "no collected page gave any text to work with; `castalia show normalize.rejects` and `castalia show collect.rejects` say why, "
            "page by page. Name other `sources.sites`, or pages that hold their text without a script"
        )
    stays = np.ones(len(order), dtype=np.bool_)
    removed = list(_repeated(order))
    stays[[item.number for item in removed]] = False
    removed += _near(documents, order, stays, boilerplate, params)
    stays[[item.number for item in removed]] = False
    likenesses: list[Likeness] = []
    if params.meaning != "off":
        proposed = _alike(documents, order, stays, params)
        if params.meaning == "label":
            likenesses = [_likeness(order, item, params.embedder) for item in proposed]
        else:
            removed += _one_of_each(proposed)
            stays[[item.number for item in removed]] = False
    for position, document in enumerate(documents):
        if stays[order.numbers[position]]:
            yield document
    yield from likenesses
    for item in removed:
        yield _reject(order, item)


def _repeated(order: Order) -> Iterator[Removed]:
    """All but the first document of every address and of every content."""
    by_address: dict[int, int] = {}
    by_content: dict[int | None, int] = {}
    for number, (address, content) in enumerate(zip(order.addresses(), order.contents(), strict=True)):
        if address in by_address:
            yield Removed(number, by_address[address], "duplicate-url")
        elif content is not None and content in by_content:
            yield Removed(number, by_content[content], "duplicate-content")
        else:
            by_address[address] = by_content[content] = number


def _near(
    documents: Sequence[Document], order: Order, stays: NDArray[np.bool_], boilerplate: Boilerplate, params: DeduplicateParams
) -> Iterator[Removed]:
    """Near-duplicates among the documents that stay."""
    keys = np.zeros((len(order), BANDS), dtype=np.uint32)
    probes = np.zeros((len(order), PROBES), dtype=np.uint64)
    with Shelf(len(order)) as shelf:
        for position, document in enumerate(documents):
            number = int(order.numbers[position])
            if not stays[number]:
                continue
            text = boilerplate.text(document)
            words = words_of(text)
            hashes = shingles(words)
            bands = band_keys(hashes)
            if bands is not None:
                keys[number], probes[number] = bands, probes_of(hashes)
            shelf.put(number, Text(words, document.title, legal=is_legal(text)))
        by_bands = band_pairs(keys)
        del keys  # it would be the larger half of what is held
        by_probes = probe_pairs(probes, (shingles(shelf[number].words) for number in range(len(order))))
        yield from _families(merged(by_bands, by_probes), shelf, Thresholds(params.near_duplicate, params.contained))


def _families(pairs: Pairs, shelf: Shelf, thresholds: Thresholds) -> Iterator[Removed]:
    """Each document that repeats kept ones, with the one that it repeats most.

    Numbers come in order of preference, and each document is compared with kept ones only: no chain of small differences can
    join two documents that differ much.
    """
    best: dict[int, Removed] = {}
    for one, other in map(np.ndarray.tolist, pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]):
        if one in best:
            continue
        found = are_one(shelf[one], shelf[other], thresholds)
        if found > 0 and (other not in best or found > best[other].similarity):
            best[other] = Removed(other, one, "near-duplicate", found)
    yield from (best[number] for number in sorted(best))


def _alike(documents: Sequence[Document], order: Order, stays: NDArray[np.bool_], params: DeduplicateParams) -> list[Removed]:
    """Pairs of documents that stay and are alike in meaning, the preferred one of each as the keeper, in order of preference."""
    numbers = [number for number in order.numbers.tolist() if stays[number]]  # in the order of the dataset, as their texts are read
    texts = (
        "\n".join(block.text for block in document.blocks) for position, document in enumerate(documents) if stays[order.numbers[position]]
    )
    pairs = (
        (*sorted((numbers[one], numbers[other])), cosine) for one, other, cosine in alike(texts, params.embedder, params.meaning_similarity)
    )
    return [Removed(other, one, "same-meaning", cosine) for one, other, cosine in sorted(pairs)]


def _one_of_each(proposed: Sequence[Removed]) -> list[Removed]:
    """Those that leave when no two that stay may be alike."""
    gone: dict[int, Removed] = {}
    for item in proposed:
        if item.number not in gone and item.keeper not in gone:
            gone[item.number] = item
    return list(gone.values())


def _likeness(order: Order, item: Removed, embedder: str) -> Likeness:
    one, other = order[item.keeper].id, order[item.number].id
    return Likeness(document=one, other=other, similarity=item.similarity, embedder=embedder, provenance=Provenance(parents=(one, other)))


def _reject(order: Order, item: Removed) -> Reject:
    gone, kept = order[item.number], order[item.keeper]
    said = {
        "duplicate-url": f"same address as {kept.url}",
        "duplicate-content": f"same text as {kept.url}",
        "near-duplicate": f"{item.similarity:.0%} of the text is that of {kept.url}",
        "same-meaning": f"cosine similarity {item.similarity:.3f} with {kept.url}",
    }
    return Reject(
        stage="deduplicate",
        subject=gone.url,
        reason=item.reason,
        detail=f"kept {kept.id}: {said[item.reason]}",
        provenance=Provenance(parents=(gone.id,)),
    )
