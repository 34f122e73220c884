"""Keeps one document of each page, of each content and of each family of near-duplicates.

A near-duplicate is an edge that was verified: MinHash only proposes. Texts that are almost equal on purpose stay apart:
legal texts, where one word is the difference, and documents that carry different titles.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence

from pydantic import Field

from castalia.engine.context import Context
from castalia.engine.stage import Params
from castalia.errors import InputError
from castalia.records import Document, Provenance, Reject
from castalia.stages.deduplicate.minhash import Hashes, candidates, jaccard, shingle_hashes
from castalia.web.urls import url_key

_DISTINCT = 0.99
"""Similarity from which documents with different titles are one."""
_LEGAL = 0.995
"""Similarity from which legal texts are one."""
_LEGAL_WORDS = re.compile(
    r"\b(?:hereby grant(?:s|ed)?|warrant(?:y|ies)|liab(?:le|ility)|redistribut(?:e|ion|ions)|sublicense|licensor|licensee|merchantability|"
    r"derivative works?|terms and conditions|governing law|indemnif\w+|copyright holders?|noninfringement)\b",
    re.IGNORECASE,
)


class DeduplicateParams(Params):
    """When two documents are one."""

    near_duplicate: float = Field(0.7, gt=0, le=1, description="Jaccard similarity of five-word shingles from which two documents are one.")


def deduplicate_documents(inputs: Mapping[str, Sequence[Document]], params: DeduplicateParams, ctx: Context) -> Iterator[Document | Reject]:
    """Kept documents, and a reject naming the kept one for every other.

    Which copy stays: a verified licence before none, then the longer text, then the first URL in sorted order.
    Reject reasons: `duplicate-url`, `duplicate-content`, `near-duplicate`. Raises InputError when there is no document: everything
    below would be paid for and lead to nothing.
    """
    del ctx
    ordered = sorted(inputs["documents_scrubbed"], key=_preference)
    if not ordered:
        raise InputError(
            "no collected page gave any text to work with; `castalia show normalize.rejects` and `castalia show collect.rejects` say why, "
            "page by page. Name other `sources.sites`, or pages that hold their text without a script"
        )
    by_url: dict[str, Document] = {}
    by_content: dict[str, Document] = {}
    unique: list[Document] = []
    for document in ordered:
        key, content = url_key(document.url), _content_hash(document)
        if key in by_url:
            yield _reject(document, "duplicate-url", by_url[key], f"same address as {by_url[key].url}")
        elif content in by_content:
            yield _reject(document, "duplicate-content", by_content[content], f"same text as {by_content[content].url}")
        else:
            by_url[key] = by_content[content] = document
            unique.append(document)
    hashes = [shingle_hashes(_text(document)) for document in unique]
    kept_by = _families(unique, hashes, params.near_duplicate)
    for index, document in enumerate(unique):
        if kept_by[index] == index:
            yield document
        else:
            kept = unique[kept_by[index]]
            similarity = jaccard(hashes[index], hashes[kept_by[index]])
            yield _reject(document, "near-duplicate", kept, f"{similarity:.0%} of the text is that of {kept.url}")


def _families(documents: Sequence[Document], hashes: Sequence[Hashes], threshold: float) -> list[int]:
    """For each document the index of the kept one that it repeats, or its own.

    Documents come in order of preference, and each is compared with kept ones only: no chain of small differences can
    join two documents that differ much.
    """
    partners: list[list[int]] = [[] for _ in documents]
    for one, other in candidates(hashes):
        partners[other].append(one)
    kept_by: list[int] = []
    for index, document in enumerate(documents):
        kept = (earlier for earlier in partners[index] if kept_by[earlier] == earlier)
        same = (earlier for earlier in kept if _are_one(documents[earlier], document, jaccard(hashes[earlier], hashes[index]), threshold))
        kept_by.append(next(same, index))
    return kept_by


def _are_one(one: Document, other: Document, similarity: float, threshold: float) -> bool:
    if similarity < threshold:
        return False
    if _is_legal(one) and _is_legal(other):
        return similarity >= _LEGAL
    first, second = (" " + " ".join(re.findall(r"\w+", document.title.casefold())) + " " for document in (one, other))
    # The name of a site is often part of a title: then one title contains the other.
    return first in second or second in first or similarity >= _DISTINCT


def _is_legal(document: Document) -> bool:
    text = _text(document)
    return len({found.lower() for found in _LEGAL_WORDS.findall(text)}) >= 4 and len(_LEGAL_WORDS.findall(text)) * 200 > len(text.split())


def _preference(document: Document) -> tuple[bool, int, str, str]:
    return (document.licence.verdict != "allowed", -sum(len(block.text) for block in document.blocks), document.url, document.id)


def _text(document: Document) -> str:
    return "\n".join(block.text for block in document.blocks)


def _content_hash(document: Document) -> str:
    return hashlib.sha256(" ".join(_text(document).split()).encode()).hexdigest()


def _reject(document: Document, reason: str, kept: Document, detail: str) -> Reject:
    return Reject(
        stage="deduplicate",
        subject=document.url,
        reason=reason,
        detail=f"kept {kept.id}: {detail}",
        provenance=Provenance(parents=(document.id,)),
    )
