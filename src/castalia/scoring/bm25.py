"""Texts ranked by the words they share with a query: BM25.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009; k1 = 1.2, b = 0.75.

Words are scored from the rarest to the most common one. Once those that are left can lift no new text among the best, only texts that
are already near are scored to the end (Turtle and Flood, "Query evaluation: strategies and optimizations", 1995). The result is that of
scoring every text with every word.
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

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.]+|\d+")
_K1, _B = 1.2, 0.75
_SOME = 32
"""Texts that are looked for first. Few queries need more."""
_FEW = 8
"""Times as many near texts as are wanted are few enough to score each to the end."""
_ROUNDING = 1e-9


class _Scored(NamedTuple):
    """A word of a query."""

    word: str
    rarity: float
    texts: NDArray[np.uintc]
    """Ascending."""
    times: NDArray[np.uintc]
    """How often each has the word."""


class WordIndex:
    """Texts by their words, numbered from 0 in the order they are added. Add all before the first search."""

    def __init__(self) -> None:
        self._lengths = array("I")
        self._postings: defaultdict[str, tuple[array[int], array[int]]] = defaultdict(lambda: (array("I"), array("I")))

    def add(self, words: Sequence[str]) -> int:
        """Takes a text in; returns its number."""
        number = len(self._lengths)
        for word, times in Counter(words).items():
            texts, counts = self._postings[word]
            texts.append(number)
            counts.append(times)
        self._lengths.append(len(words))
        return number

    def best(self, words: Sequence[str], without: Sequence[int] = ()) -> Iterator[int]:
        """Numbers of the texts that share a word with the query, best first. Those in `without` are as if they had never been added."""
        own = np.array(sorted(without), dtype=np.intp)
        others = len(self._lengths) - len(own)
        if not others:
            return
        lengths = self._words_of / ((self._words_of.sum() - self._words_of[own].sum()) / others)
        scored = self._rarest_first(words, own, others)
        given, wanted = 0, _SOME
        while True:
            best = _ranked(scored, lengths, own, wanted)
            yield from best[given:].tolist()
            if len(best) < wanted:
                return
            given, wanted = wanted, 4 * wanted

    @cached_property
    def _words_of(self) -> NDArray[np.float64]:
        """Words by text."""
        return np.asarray(self._lengths, dtype=np.float64)

    def _rarest_first(self, words: Sequence[str], own: NDArray[np.intp], others: int) -> list[_Scored]:
        """The words of a query that stand in a text, with their rarity among the texts outside `own`."""
        found: list[_Scored] = []
        for word in set(words) & self._postings.keys():
            texts, times = (np.frombuffer(numbers, dtype=np.uintc) for numbers in self._postings[word])
            count = len(texts) - int(np.count_nonzero(_has(texts, own)[1]))
            found.append(_Scored(word, math.log(1 + (others - count + 0.5) / (count + 0.5)), texts, times))
        return sorted(found, key=lambda one: (-one.rarity, one.word))


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text as they are indexed: lower case, dotted and underscored names whole."""
    return tuple(word.lower() for word in _WORD.findall(text))


def _ranked(words: Sequence[_Scored], lengths: NDArray[np.float64], own: NDArray[np.intp], wanted: int) -> NDArray[np.intp]:
    """Numbers of the best `wanted` texts outside `own`, best first; fewer where fewer share a word. `lengths` is relative to the mean."""
    scores = np.zeros(len(lengths))
    left = sum(one.rarity for one in words) * (_K1 + 1)  # no text gets as much as this from the words that are left
    least = 0.0
    for one in words:
        scores[one.texts] += _share(one, one.times, lengths[one.texts])
        scores[own] = 0.0
        left -= one.rarity * (_K1 + 1)
        if left < scores.max() and len(scores) >= wanted:
            least = float(np.partition(scores, -wanted)[-wanted])
            if left < least - _ROUNDING and np.count_nonzero(scores >= least - left - _ROUNDING) < _FEW * wanted:
                break
    near = np.flatnonzero((scores > 0) & (scores >= least - left - _ROUNDING))
    exact = np.zeros(len(near))
    for one in sorted(words, key=lambda one: one.word):  # one order for all: sums of floats depend on it
        places, have = _has(one.texts, near)
        exact[have] += _share(one, one.times[places[have]], lengths[near[have]])
    return near[np.lexsort((near, -exact))][:wanted]


def _has(texts: NDArray[np.uintc], wanted: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where in `texts`, which ascend, the wanted ones stand, and which of them do."""
    wanted_here = wanted.astype(np.uintc)  # of one type: the search would copy `texts` otherwise
    places = np.minimum(np.searchsorted(texts, wanted_here), len(texts) - 1)
    return places, texts[places] == wanted_here


def _share(one: _Scored, times: NDArray[np.uintc], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a word adds to the score of texts that have it."""
    return one.rarity * times * (_K1 + 1) / (times + _K1 * (1 - _B + _B * lengths))
