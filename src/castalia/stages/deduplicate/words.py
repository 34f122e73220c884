"""A text as numbers: one 64-bit value a word, runs of words as shingles, and how much two sets of shingles share.

The three lowest bits of a word say what a difference in it would mean: a digit, a capital, a negation or another word on which
a statement turns. The other bits are its hash, case folded.
"""

import hashlib
import re

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
"""Shape (words,), in reading order."""
Hashes = NDArray[np.uint64]
"""Shape (shingles,), sorted and unique."""

SHINGLE = 5
DIGIT, CAPITAL, TURNING = np.uint64(1), np.uint64(2), np.uint64(4)
_FLAGS = np.uint64(7)
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+")
_TURN = frozenset(
    re.findall(
        r"\w+",
        "not no never none neither nor without except unless cannot must may shall should might can optional required allowed forbidden "
        "deprecated enable enabled disable disabled true false nicht kein keine ohne ne pas sans non sin nunca",
    )
)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


def words_of(text: str) -> Words:
    """The words of a text; of scripts without spaces every character is one."""
    if len(_VALUES) > _MOST_VALUES:
        _VALUES.clear()
    return np.array(list(map(_VALUES.__getitem__, _WORD.findall(text))), dtype=np.uint64)


def shingles(words: Words) -> Hashes:
    """All runs of five words; a shorter text is one run."""
    if not len(words):
        return np.empty(0, dtype=np.uint64)
    ordered = np.sort(_runs(words & ~_FLAGS, min(SHINGLE, len(words))))
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])]  # faster than numpy's unique, which hashes first


def jaccard(one: Hashes, other: Hashes) -> float:
    """Size of the intersection by size of the union, 0..1; two empty sets are different."""
    shared = overlap(one, other)
    return shared / (len(one) + len(other) - shared) if shared else 0.0


def overlap(one: Hashes, other: Hashes) -> int:
    """How many shingles are in both."""
    if not len(one) or not len(other):
        return 0
    if len(one) > len(other):
        one, other = other, one
    places = np.searchsorted(other, one)
    places[places == len(other)] = 0
    return int(np.count_nonzero(other[places] == one))


def swaps(one: Words, other: Words) -> Words:
    """Flags of the words that differ between the same four neighbors, two on each side; shape (swaps,).

    A missing paragraph gives none. Texts made from one template give one wherever the template is filled.
    """
    if len(one) < SHINGLE or len(other) < SHINGLE:
        return np.empty(0, dtype=np.uint64)
    (first, first_words), (second, second_words) = _centers(one), _centers(other)
    _, left, right = np.intersect1d(first, second, assume_unique=True, return_indices=True)
    here, there = first_words[left], second_words[right]
    differ = (here & ~_FLAGS) != (there & ~_FLAGS)
    return (here[differ] | there[differ]) & _FLAGS


def _centers(words: Words) -> tuple[Words, Words]:
    """Hash of the neighbors of every word, and the word; neighbors that come twice left out."""
    plain = words & ~_FLAGS
    neighbors = np.stack([plain[:-4], plain[1:-3], plain[3:-1], plain[4:]])
    combined = np.zeros(neighbors.shape[1], dtype=np.uint64)
    for row in neighbors:
        combined = _mixed(combined ^ row)
    values, places, counts = np.unique(combined, return_index=True, return_counts=True)
    once = counts == 1
    return values[once], words[2:-2][places[once]]


def _runs(words: Words, length: int) -> Words:
    count = len(words) - length + 1
    combined = np.zeros(count, dtype=np.uint64)
    for place in range(length):
        combined = _mixed(combined ^ words[place : place + count])
    return combined


def _mixed(values: Words) -> Words:
    values = values * _MIX
    return values ^ (values >> _SHIFT)


class _Values(dict[str, int]):
    """The number of each word met so far."""

    def __missing__(self, word: str) -> int:
        folded = word.casefold()
        digest = int.from_bytes(hashlib.blake2b(folded.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
        flags = any(map(str.isdigit, word)) | (2 if word[0].isupper() else 0) | (4 if folded in _TURN else 0)
        self[word] = value = digest & ~7 | flags
        return value


_VALUES = _Values()
_MOST_VALUES = 100_000
