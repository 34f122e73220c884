"""Passages from other pages that could support or refute a record: BM25 over blocks."""

from collections import defaultdict
from collections.abc import Sequence

from castalia.quality.view import View, cited_blocks
from castalia.records import Document
from castalia.scoring.bm25 import WordIndex, words_of

_SHORTEST_PASSAGE = 6  # words; shorter blocks are headings and labels that support nothing


class Passages:
    """All blocks that could serve as passages, indexed by word once for all records."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._by_id = {document.id: document for document in documents}
        self._blocks: list[tuple[Document, int]] = []
        self._of_page: defaultdict[str, list[int]] = defaultdict(list)
        self._index = WordIndex()
        for document in sorted(documents, key=lambda document: document.url):
            for block in document.blocks:
                words = words_of(block.text)
                if block.kind != "heading" and len(words) >= _SHORTEST_PASSAGE:
                    self._of_page[document.url].append(self._index.add(words))
                    self._blocks.append((document, block.number))

    def about(self, view: View, count: int) -> list[tuple[Document, int]]:
        """The best blocks for a record from pages that it doesn't cite, best first, until `count` of them are independent of it. Blocks
        that copy each other are given once."""
        own = [number for url in self._pages(view) for number in self._of_page[url]]
        cited = self._cited_words(view)
        seen: set[tuple[str, ...]] = set()
        found: list[tuple[Document, int]] = []
        for number in self._index.best(words_of(f"{view.question} {view.answer}"), own):
            document, block = self._blocks[number]
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


def _wording(document: Document, number: int) -> tuple[str, ...]:
    """A block as compared for copies: its words alone."""
    return tuple(word.strip(".") for word in words_of(document.blocks[number].text))
