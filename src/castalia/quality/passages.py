"""Passages from other pages that could support or refute a record: BM25 over blocks.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009; k1 = 1.2, b = 0.75.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

from castalia.quality.view import View, cited_blocks
from castalia.records import Document

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.]+|\d+")
_K1, _B = 1.2, 0.75
_SHORTEST_PASSAGE = 6  # words; shorter blocks are headings and labels that support nothing


def independent_passages(views: Sequence[View], documents: Sequence[Document], *, per_record: int) -> list[tuple[Document, int]]:
    """The `per_record` best blocks for each record from pages that no record of the group cites, in page order."""
    by_id = {document.id: document for document in documents}
    own = {document.url for view in views for document, _ in cited_blocks(view, by_id)}
    index = [
        (document, block.number, _words(block.text))
        for document in sorted(documents, key=lambda document: document.url)
        if document.url not in own
        for block in document.blocks
        if block.kind != "heading"
    ]
    index = [entry for entry in index if len(entry[2]) >= _SHORTEST_PASSAGE]
    if not index:
        return []
    frequency = Counter(word for _, _, words in index for word in set(words))
    mean_length = sum(len(words) for _, _, words in index) / len(index)
    chosen: dict[tuple[str, int], Document] = {}
    for view in views:
        query = set(_words(f"{view.question} {view.answer}"))
        scored = [(_bm25(query, words, frequency, len(index), mean_length), document, number) for document, number, words in index]
        scored.sort(key=lambda entry: (-entry[0], entry[1].url, entry[2]))
        chosen.update({(document.url, number): document for score, document, number in scored[:per_record] if score > 0})
    return [(document, number) for (_, number), document in sorted(chosen.items(), key=lambda item: item[0])]


def _bm25(query: set[str], words: Sequence[str], frequency: Counter[str], blocks: int, mean_length: float) -> float:
    counts = Counter(words)
    score = 0.0
    for word in query & counts.keys():
        rarity = math.log(1 + (blocks - frequency[word] + 0.5) / (frequency[word] + 0.5))
        score += rarity * counts[word] * (_K1 + 1) / (counts[word] + _K1 * (1 - _B + _B * len(words) / mean_length))
    return score


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]
