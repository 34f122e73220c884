"""Term-overlap ranking (BM25, Robertson and Zaragoza 2009) over a handful of pages. Pure, deterministic."""

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from castalia.web.prescan import word_set

_K1, _B = 1.2, 0.75
_TITLE_WEIGHT = 4
"""A word of the title counts as often as this in the text; a word of a heading half of it."""
_STOP = word_set(
    "a an and are as at be by can do does for from how i if in into is it its of on or than that the their then there these this to "
    "was what when where which who why will with you your"
)


class PageText(NamedTuple):
    """The words of a page by where they stand."""

    title: str
    headings: tuple[str, ...]
    text: str


class Ranking:
    """An index of pages, by URL. Who knows beforehand what will be asked gives the `words`: only they are remembered of each page."""

    def __init__(self, pages: Mapping[str, PageText] | None = None, *, words: Collection[str] | None = None) -> None:
        self._wanted = None if words is None else frozenset(words)
        self._counts: dict[str, Mapping[str, int]] = {}
        self._lengths: dict[str, int] = {}
        self._documents: Counter[str] = Counter()
        for url, page in (pages or {}).items():
            self.add(url, page)

    def add(self, url: str, page: PageText) -> None:
        """One more page; a URL is added once."""
        counts = _count(page)
        self._lengths[url] = sum(counts.values())
        self._counts[url] = counts if self._wanted is None else {word: counts[word] for word in self._wanted & counts.keys()}
        self._documents.update(self._counts[url].keys())

    def rank(self, query: str) -> list[tuple[str, float]]:
        """URLs with a positive score, best first; equal scores by URL."""
        words = list(dict.fromkeys(terms(query)))
        mean = max(1.0, sum(self._lengths.values()) / max(1, len(self._lengths)))
        scored = [(url, self._score(url, words, mean)) for url in self._counts]
        return sorted(((url, score) for url, score in scored if score > 0), key=lambda item: (-item[1], item[0]))

    def share(self, url: str, query: str) -> float:
        """How many of the query's words the page has, in 0..1."""
        words = set(terms(query))
        return sum(word in self._counts[url] for word in words) / len(words) if words else 0.0

    def _score(self, url: str, words: Sequence[str], mean: float) -> float:
        counts = self._counts[url]
        norm = _K1 * (1 - _B + _B * self._lengths[url] / mean)
        total = 0.0
        for word in words:
            count = counts.get(word, 0)
            if count:
                holders = self._documents[word]
                rarity = math.log(1 + (len(self._counts) - holders + 0.5) / (holders + 0.5))
                total += rarity * count * (_K1 + 1) / (count + norm)
        return total


def terms(text: str) -> list[str]:
    """Lower-case words without stop words; a plural loses its s."""
    words = re.findall(r"\w{2,}", text.lower())
    return [word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in words if word not in _STOP]


def _count(page: PageText) -> Counter[str]:
    counts = Counter(terms(page.text))
    for word in terms(page.title):
        counts[word] += _TITLE_WEIGHT
    for heading in page.headings:
        for word in terms(heading):
            counts[word] += _TITLE_WEIGHT // 2
    return counts
