"""Passages from other pages that could support or refute a record: BM25 over blocks.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009; k1 = 1.2, b = 0.75.

Words are scored from the rarest to the most common one. Once those that are left can lift no new block among the best, only blocks that
are already near are scored to the end (Turtle and Flood, "Query evaluation: strategies and optimizations", 1995). The result is that of
scoring every block with every word.
"""

import math
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from castalia.quality.view import View, cited_blocks
from castalia.records import Document

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.]+|\d+")
_K1, _B = 1.2, 0.75
_SHORTEST_PASSAGE = 6  # words; shorter blocks are headings and labels that support nothing
_SOME = 32
"""Blocks that are looked for first. Few records need more, as most blocks are independent of them."""
_FEW = 8
"""Times as many near blocks as are wanted are few enough to score each to the end."""
_ROUNDING = 1e-9


class _Scored(NamedTuple):
    """A word of a record."""

    word: str
    rarity: float
    blocks: NDArray[np.uintc]
    """Ascending."""
    times: NDArray[np.uintc]
    """How often each has the word."""


class Passages:
    """All blocks that could serve as passages, indexed by word once for all records."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._by_id = {document.id: document for document in documents}
        self._blocks: list[tuple[Document, int]] = []
        self._lengths = array("I")
        self._of_page: defaultdict[str, list[int]] = defaultdict(list)
        self._postings: defaultdict[str, tuple[array[int], array[int]]] = defaultdict(lambda: (array("I"), array("I")))
        for document in sorted(documents, key=lambda document: document.url):
            for block in document.blocks:
                words = _words(block.text)
                if block.kind != "heading" and len(words) >= _SHORTEST_PASSAGE:
                    self._add(document, block.number, words)

    def about(self, view: View, count: int) -> list[tuple[Document, int]]:
        """The best blocks for a record from pages that it doesn't cite, best first, until `count` of them are independent of it. Blocks
        that copy each other are given once."""
        own = np.array(sorted(number for url in self._pages(view) for number in self._of_page[url]), dtype=np.intp)
        cited = self._cited_words(view)
        seen: set[tuple[str, ...]] = set()
        found: list[tuple[Document, int]] = []
        for number in self._best(view, own):
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

    def _add(self, document: Document, number: int, words: tuple[str, ...]) -> None:
        for word, times in Counter(words).items():
            blocks, counts = self._postings[word]
            blocks.append(len(self._blocks))
            counts.append(times)
        self._of_page[document.url].append(len(self._blocks))
        self._blocks.append((document, number))
        self._lengths.append(len(words))

    @cached_property
    def _words_of(self) -> NDArray[np.float64]:
        """Words by block."""
        return np.asarray(self._lengths, dtype=np.float64)

    def _best(self, view: View, own: NDArray[np.intp]) -> Iterator[int]:
        """The blocks outside `own` that share a word with the record, best first."""
        others = len(self._blocks) - len(own)
        if not others:
            return
        lengths = self._words_of / ((self._words_of.sum() - self._words_of[own].sum()) / others)
        words = self._rarest_first(view, own, others)
        given, wanted = 0, _SOME
        while True:
            best = _ranked(words, lengths, own, wanted)
            yield from best[given:].tolist()
            if len(best) < wanted:
                return
            given, wanted = wanted, 4 * wanted

    def _rarest_first(self, view: View, own: NDArray[np.intp], others: int) -> list[_Scored]:
        """The words of a record that stand in a block, with their rarity among the blocks outside `own`."""
        found: list[_Scored] = []
        for word in set(_words(f"{view.question} {view.answer}")) & self._postings.keys():
            blocks, times = (np.frombuffer(numbers, dtype=np.uintc) for numbers in self._postings[word])
            count = len(blocks) - int(np.count_nonzero(_has(blocks, own)[1]))
            found.append(_Scored(word, math.log(1 + (others - count + 0.5) / (count + 0.5)), blocks, times))
        return sorted(found, key=lambda one: (-one.rarity, one.word))


def _ranked(words: Sequence[_Scored], lengths: NDArray[np.float64], own: NDArray[np.intp], wanted: int) -> NDArray[np.intp]:
    """Numbers of the best `wanted` blocks outside `own`, best first; fewer where fewer share a word. `lengths` is relative to the mean."""
    scores = np.zeros(len(lengths))
    left = sum(one.rarity for one in words) * (_K1 + 1)  # no block gets as much as this from the words that are left
    least = 0.0
    for one in words:
        scores[one.blocks] += _share(one, one.times, lengths[one.blocks])
        scores[own] = 0.0
        left -= one.rarity * (_K1 + 1)
        if left < scores.max() and len(scores) >= wanted:
            least = float(np.partition(scores, -wanted)[-wanted])
            if left < least - _ROUNDING and np.count_nonzero(scores >= least - left - _ROUNDING) < _FEW * wanted:
                break
    near = np.flatnonzero((scores > 0) & (scores >= least - left - _ROUNDING))
    exact = np.zeros(len(near))
    for one in sorted(words, key=lambda one: one.word):  # one order for all: sums of floats depend on it
        places, have = _has(one.blocks, near)
        exact[have] += _share(one, one.times[places[have]], lengths[near[have]])
    return near[np.lexsort((near, -exact))][:wanted]


def _has(blocks: NDArray[np.uintc], wanted: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where in `blocks`, which ascend, the wanted ones stand, and which of them do."""
    wanted_here = wanted.astype(np.uintc)  # of one type: the search would copy `blocks` otherwise
    places = np.minimum(np.searchsorted(blocks, wanted_here), len(blocks) - 1)
    return places, blocks[places] == wanted_here


def _share(one: _Scored, times: NDArray[np.uintc], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a word adds to the score of blocks that have it."""
    return one.rarity * times * (_K1 + 1) / (times + _K1 * (1 - _B + _B * lengths))


def _wording(document: Document, number: int) -> tuple[str, ...]:
    """A block as compared for copies: its words alone."""
    return tuple(word.strip(".") for word in _words(document.blocks[number].text))


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORD.findall(text))
