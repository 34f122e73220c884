# pyright: basic
"""When two documents are one: a measured similarity, and no difference that matters.

Extractions and copies of a page differ by whole passages that one of them lacks. Documents made from one template differ in
single words between the same neighbors: a number, a name, a "not". The first are duplicates, the second are not.
"""

import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import re2

from castalia.stages.deduplicate.words import CAPITAL, DIGIT, TURNING, Words, overlap, shingles, swaps

_LEGAL_STEMS = (
    r"\b(?:sub)?(licen[sc]|lizenz|copyright|copyleft|urheber|permi(?:t|ss)|grant|redistribut|distribu|modif|warrant|liab|merchantab|infring"
    r"|derivative|verbatim|notice|reproduc|public domain|exception|provided that|hereby|without restriction|exempt|indemnif|attribution|copies"
    r"|trademark|disclaim|vervielfält|verbreit|schutzgegenstand|gestattet|bearbeit|haftung|gewähr|rechtlich|nutzung|reproduire|autoris|droits? d"
    r"|garanti)"
)
_LEGAL = 0.995
"""Similarity from which legal texts are one: in them one word is the difference."""
_TITLES = 0.99
"""Similarity from which documents with different titles are one."""
_LEAST_CONTAINED = 12
"""Shingles that a text needs, to be a part of another."""
_SEPARATOR = re.compile(r"\s+[|–—·»:]\s+|\s+-\s+|\s+::\s+")


class Text(NamedTuple):
    """What two documents are compared by."""

    words: Words
    title: str
    legal: bool


class Thresholds(NamedTuple):
    """Jaccard similarity of two documents that are near-duplicates, and the share of the shorter one that the longer one holds."""

    similar: float
    contained: float


def is_legal(text: str) -> bool:
    """Whether a text is a licence, a contract or a clause of one: terms of law, several different ones, in no more than forty words each."""
    encoded = text.encode("utf-8", "replace")
    found: list[bytes] = [stem.lower() for stem in _stems().findall(encoded)]
    different, share = len(set(found)), len(found) / max(1, len(encoded.split()))
    return (different >= 3 and share >= 0.025) or (different >= 2 and share >= 0.04)


@lru_cache(maxsize=1)
def _stems() -> "re2._Regexp":
    options = re2.Options()
    options.case_sensitive = False
    return re2.compile(_LEGAL_STEMS.encode(), options)


def similarity(one: Words, other: Words) -> tuple[float, float]:
    """Jaccard similarity, and containment in the other of the one with fewer shingles."""
    first, second = shingles(one), shingles(other)
    shared = overlap(first, second)
    if not shared:
        return 0.0, 0.0
    fewer = min(len(first), len(second))
    return shared / (len(first) + len(second) - shared), shared / fewer if fewer >= _LEAST_CONTAINED else 0.0


def are_one(one: Text, other: Text, thresholds: Thresholds) -> float:
    """The similarity by which two documents are one, 0 when they are not."""
    jaccard, contained = similarity(one.words, other.words)
    if jaccard < thresholds.similar and contained < thresholds.contained:
        return 0.0
    swapped = swaps(one.words, other.words)
    if one.legal or other.legal:
        return jaccard if jaccard >= _LEGAL and not len(swapped) else 0.0
    if jaccard < _TITLES and not same_title(one.title, other.title):
        return 0.0
    return 0.0 if _told_apart(swapped, min(len(one.words), len(other.words))) else max(jaccard, contained)


def same_title(one: str, other: str) -> bool:
    """Whether two titles can be of one page: the longest part of one stands in the other. The name of a site is often a part."""
    first, second = _longest_part(one), _longest_part(other)
    if not first.strip() or not second.strip():
        return True  # a missing title says nothing
    return first in f" {_plain(other)} " or second in f" {_plain(one)} "


def _longest_part(title: str) -> str:
    return f" {max((_plain(part) for part in _SEPARATOR.split(title)), key=len)} "


def _plain(title: str) -> str:
    return " ".join(re.findall(r"\w+", title.casefold()))


def _told_apart(found: Words, words: int) -> bool:
    """Whether swapped words make two documents: a statement turned round, numbers and names in a share that a template has, or many
    words of any kind; in a short text one is many.

    Copies of a page swap a few too: a date, a counter, a name spelled otherwise.
    """
    turned = int(np.count_nonzero(found & TURNING))
    filled = int(np.count_nonzero(found & (DIGIT | CAPITAL)))
    return turned >= 1 + words // 500 or filled >= 3 + words // 100 or len(found) >= 1 + words // 40
