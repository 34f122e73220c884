"""Passages from other pages that could support or refute a record: BM25 over blocks.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009; k1 = 1.2, b = 0.75.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from castalia.quality.view import View, cited_blocks
from castalia.records import Document

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.]+|\d+")
_K1, _B = 1.2, 0.75
_SHORTEST_PASSAGE = 6  # words; shorter blocks are headings and labels that support nothing


class Passages:
    """All blocks that could serve as passages, indexed by word once for all records."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._by_id = {document.id: document for document in documents}
        self._blocks: list[tuple[Document, int, tuple[str, ...]]] = []
        self._of_page: defaultdict[str, list[int]] = defaultdict(list)
        self._postings: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for document in sorted(documents, key=lambda document: document.url):
            for block in document.blocks:
                words = _words(block.text)
                if block.kind != "heading" and len(words) >= _SHORTEST_PASSAGE:
                    self._add(document, block.number, words)
        self._length = sum(len(words) for _, _, words in self._blocks)

    def about(self, view: View, count: int) -> list[tuple[Document, int]]:
        """The best blocks for a record from pages that it doesn't cite, best first, until `count` of them are independent of it. Blocks
        that copy each other are given once."""
        own = [number for url in self._pages(view) for number in self._of_page[url]]
        cited = self._cited_words(view)
        seen: set[tuple[str, ...]] = set()
        found: list[tuple[Document, int]] = []
        for _, number in sorted((-score, number) for number, score in self._scores(view, own).items()):
            document, block, _ = self._blocks[number]
            words = _wording(document, block)
            if len(seen - cited) == count:
                break
            if words not in seen:
                seen.add(words)
                found.append((document, block))
        return found

    def independent(self, view: View, block: tuple[Document, int]) -> bool:
        """Whether a block could support a record: it stands on no page that the record cites and is no copy of a block that it cites."""
        document, number = block
        return document.url not in self._pages(view) and _wording(document, number) not in self._cited_words(view)

    def _pages(self, view: View) -> set[str]:
        return {document.url for document, _ in cited_blocks(view, self._by_id)}

    def _cited_words(self, view: View) -> set[tuple[str, ...]]:
        return {_wording(document, number) for document, number in cited_blocks(view, self._by_id)}

    def _add(self, document: Document, number: int, words: tuple[str, ...]) -> None:
        for word, times in Counter(words).items():
            self._postings[word].append((len(self._blocks), times))
        self._of_page[document.url].append(len(self._blocks))
        self._blocks.append((document, number, words))

    def _scores(self, view: View, own: Sequence[int]) -> dict[int, float]:
        """Score by block number, of blocks outside `own` that share a word with the record; rarity is that among these blocks."""
        others = len(self._blocks) - len(own)
        mean_length = (self._length - sum(len(self._blocks[number][2]) for number in own)) / max(1, others)
        inside = frozenset(own)
        scores: defaultdict[int, float] = defaultdict(float)
        for word in sorted(set(_words(f"{view.question} {view.answer}"))):  # sorted: sums of floats depend on their order
            postings = [posting for posting in self._postings.get(word, ()) if posting[0] not in inside]
            rarity = math.log(1 + (others - len(postings) + 0.5) / (len(postings) + 0.5))
            for number, times in postings:
                length = len(self._blocks[number][2]) / mean_length
                scores[number] += rarity * times * (_K1 + 1) / (times + _K1 * (1 - _B + _B * length))
        return scores


def _wording(document: Document, number: int) -> tuple[str, ...]:
    """A block as compared for copies: its words alone."""
    return tuple(word.strip(".") for word in _words(document.blocks[number].text))


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORD.findall(text))
