# pyright: basic
"""What a model sees of a page's units: numbers, hashed names of the elements around them, hashed words, and what belongs together.

Every number is a column over all units at once: a page has hundreds of them, and numpy's price is per column.
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from castalia.web.extract.surroundings import REGIONS, Buckets, Surroundings
from castalia.web.extract.tree import Parsed, Unit
from castalia.web.prescan import word_set

WORDS = 4096
"""Buckets for words."""
_FIRST_WORDS = 10
_LAST_WORDS = 3
_STOP = word_set(
    "the of and to a in is that for it as was with be by on not he i this are or his from at which but have an had they you were their one all "
    "we can her has there been if more when will would who so no she its our your de la que el en y los der die und das le les et des il di"
)
_KINDS = {
    tag: place
    for place, tags in enumerate(
        (
            "p",
            "li",
            "td th",
            "h1",
            "h2",
            "h3",
            "h4 h5 h6",
            "div section article main",
            "pre xmp listing",
            "dt dd",
            "blockquote",
            "figcaption caption",
            "label legend option",
            "tr table tbody",
        )
    )
    for tag in tags.split()
}
_OTHER_KIND = 14
_DIGIT = re.compile(r"\d")
_ASCII_DIGIT = re.compile(r"[0-9]")
_MONEY = re.compile(r"[$€£¥]\s?\d|\d\s?[€£]")
_DATE = re.compile(r"\b(?:19|20)\d\d\b|\b\d{1,2}[:/.-]\d{1,2}\b|\bago\b")
_LOG = np.log1p(np.arange(2001))


class Features(NamedTuple):
    """Arrays for N units of a page, E of its elements."""

    dense: np.ndarray
    """[N, D] float32."""
    names: np.ndarray
    """Buckets of the names of all elements, one element after the other."""
    name_starts: np.ndarray
    """[E + 1] where each element's names begin."""
    parents: np.ndarray
    """[E] index of the element around it, 0 for the body itself; elements come after those around them."""
    elements: np.ndarray
    """[N] the element of each unit."""
    branches: np.ndarray
    """[N] for each unit the element through which it hangs below the nearest element with half of the running text."""
    words: np.ndarray
    """Buckets of the words, one unit after the other."""
    word_starts: np.ndarray
    """[N + 1] where each unit's words begin."""
    shapes: np.ndarray
    """[N] units with equal numbers stand in elements of equal names."""
    siblings: np.ndarray
    """[N] units with equal numbers share the element around their own."""
    sizes: np.ndarray
    """[N] words of each unit."""


def read_features(page: Parsed, title: str) -> Features:
    """Features of all units of `page`; `title` is the page's title."""
    units = page.units
    texts = [" ".join("".join(unit.texts).split()) for unit in units]
    lower = "\n".join(texts).lower().split("\n") if texts else []
    words = [text.split() for text in lower]
    sizes = np.array([len(split) for split in words], np.int32)
    around = Surroundings(page)
    dense = [
        *_columns_of_text(units, texts, lower, words, set(re.findall(r"\w+", title.lower()))),
        *_columns_of_place(page, np.maximum(1, [len(text) for text in texts]), around),
        *(around.regions[around.blocks] >> np.arange(len(REGIONS))[:, None] & 1),
        *np.eye(_OTHER_KIND + 1)[:, [_KINDS.get(unit.element.tag, _OTHER_KIND) for unit in units]],
    ]
    telling = [split if len(split) <= _FIRST_WORDS + _LAST_WORDS else split[:_FIRST_WORDS] + split[-_LAST_WORDS:] for split in words]
    return Features(
        np.array(dense, np.float32).T.copy(),
        np.array([*chain.from_iterable(around.names)], np.int32),
        _starts(around.names),
        around.parents,
        around.innermost,
        around.branches[around.blocks],
        np.array([*map(_WORD_BUCKETS.__getitem__, chain.from_iterable(telling))], np.int32),
        _starts(telling),
        _ranks([around.shapes[element] for element in around.innermost.tolist()]),
        _ranks(around.parents[around.blocks].tolist()),
        sizes,
    )


def _columns_of_text(
    units: Sequence[Unit], texts: Sequence[str], lower: Sequence[str], words: Sequence[list[str]], title: set[str]
) -> list[np.ndarray]:
    """What the words of each unit are like, [N] each."""
    lengths = np.maximum(1, [len(text) for text in texts])
    sizes = np.array([len(split) for split in words], np.int64)
    some = np.maximum(1, sizes)
    last = [text[-1:] for text in texts]
    begins = [text[:200] for text in texts]
    has_digit = [_DIGIT.search(begin) is not None for begin in begins]
    digits = [len(_ASCII_DIGIT.findall(begin[:100])) if found else 0 for begin, found in zip(begins, has_digit, strict=True)]
    dates = [(found or "ago" in begin) and _DATE.search(begin) is not None for begin, found in zip(begins, has_digit, strict=True)]
    titled = np.array([len(title.intersection(split)) if len(split) < 40 else 0 for split in words]) / max(1, len(title))
    seen = Counter(texts)
    return [
        _log(sizes),
        _log(lengths),
        np.minimum(1.0, np.array([unit.linked for unit in units]) / lengths),
        lengths / some / 10,
        np.array([sum(map(_STOP.__contains__, split[:40])) for split in words]) / np.minimum(some, 40),
        np.array([text[:1].isupper() for text in texts]),
        np.array([mark != "" and mark in ".!?…。" for mark in last]),
        np.array([mark == ":" for mark in last]),
        np.array([text.count(",") + text.count(";") for text in texts]) / some * 4,
        np.array([text.count(". ") for text in texts]) / some * 10,
        np.array(digits) / np.minimum(lengths, 100),
        np.array([text.isupper() for text in texts]),
        np.array([found and _MONEY.search(begin) is not None for begin, found in zip(begins, has_digit, strict=True)]),
        np.array(dates),
        np.array(["©" in text or "copyright" in text for text in lower]),
        np.array(["|" in text or "»" in text or "›" in text or "→" in text for text in texts]),
        np.array([min(seen[text], 5) for text in texts]) / 5,
        titled,
        titled > 0.7,
    ]


def _columns_of_place(page: Parsed, lengths: np.ndarray, around: Surroundings) -> list[np.ndarray]:
    """Where in the page each unit of `lengths` characters stands, [N] each."""
    count = len(lengths)
    numbers = np.arange(count)
    total = max(1, page.body.text_length)
    heading = next((number for number, unit in enumerate(page.units) if unit.element.tag == "h1"), None)
    text = np.array([element.text_length for element in around.elements])
    linked = np.array([element.link_length for element in around.elements]) / np.maximum(1, text)
    share = around.prose / max(1, around.prose[0])
    blocks, innermost = around.blocks, around.innermost
    outer = around.parents[blocks]
    outer2 = around.parents[outer]
    branches, trunks = around.branches[blocks], around.trunks[blocks]
    tags = [around.elements[element].tag for element in innermost.tolist()]
    return [
        numbers / count,
        (np.cumsum(lengths) - lengths) / total * 5,
        np.zeros(count) if heading is None else numbers >= heading,
        np.ones(count) if heading is None else _log(np.abs(numbers - heading)) / 5,
        around.depths[blocks] / 20,
        np.diff(blocks, prepend=-1) == 0,
        np.array([tag == "a" for tag in tags]) & (innermost != blocks),
        np.array([tag in ("strong", "b", "em", "i") for tag in tags]),
        _log(np.minimum(text[outer], 20_000) // 10) / 5,
        linked[outer],
        text[outer] / total,
        _log(np.minimum(text[outer2], 20_000) // 10) / 5,
        linked[outer2],
        text[outer2] / total,
        _log(np.array([len(element.children) for element in around.elements])[outer]) / 4,
        np.full(count, page.body.link_length / total),
        np.full(count, _log(count) / 5),
        np.full(count, _log(total // 10) / 5),
        around.steps[blocks] / 10,
        text[branches] / total,
        linked[branches],
        share[branches],
        share[outer],
        share[outer2],
        text[trunks] / total,
        around.depths[trunks] / 20,
        np.full(count, around.prose[0] / total),
    ]


def _log(values: "np.ndarray | int") -> np.ndarray:
    return _LOG[np.minimum(values, 2000)]


def _starts(runs: Sequence[Sequence[object]]) -> np.ndarray:
    return np.cumsum([0, *map(len, runs)], dtype=np.int32)


def _ranks(keys: list[int]) -> np.ndarray:
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int32)


_WORD_BUCKETS = Buckets(WORDS)
DENSE = 46 + len(REGIONS) + _OTHER_KIND + 1
