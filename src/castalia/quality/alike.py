"""Prompts that ask almost the same: Jaccard similarity of their word trigrams, found exactly.

Two sets as similar as `t` share one of their rarest members: of n the first n - ceil(t * n) + 1 in an order common to all (prefix
filtering; Bayardo, Ma, Srikant, "Scaling up all pairs similarity search", 2007). So only few prompts are ever compared.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from castalia.records import PreferencePair, Record, ReplayItem, RewardRecord, SFTExample
from castalia.records.mix import NEAR


def asked(record: Record) -> str:
    """What the user of a training record asks, all turns."""
    if isinstance(record, PreferencePair | RewardRecord):
        conversation = record.prompt
    elif isinstance(record, SFTExample | ReplayItem):
        conversation = record.conversation
    else:
        raise TypeError(f"record {record.id!r} of type {type(record).__name__} is no training record")
    return "\n".join(message.content for message in conversation.messages if message.role == "user")


class AlikeIndex:
    """Finds, among texts by number, those that were added and are like another one."""

    def __init__(self, texts: Sequence[str], near: float = NEAR):
        self._near = near
        self._grams = [trigrams(text) for text in texts]
        counts = Counter(gram for grams in self._grams for gram in grams)
        self._rarest = [
            sorted(grams, key=lambda gram: (counts[gram], gram))[: len(grams) - math.ceil(near * len(grams) - 1e-9) + 1]
            for grams in self._grams
        ]
        self._holders: dict[tuple[str, ...], list[int]] = {}

    def add(self, number: int) -> None:
        """Makes a text one that may be found."""
        for gram in self._rarest[number]:
            self._holders.setdefault(gram, []).append(number)

    def clear(self) -> None:
        """Makes none one that may be found."""
        self._holders.clear()

    def like(self, number: int) -> list[int]:
        """Numbers of the added texts that are like this one, in order."""
        candidates = {other for gram in self._rarest[number] for other in self._holders.get(gram, ())}
        return sorted(other for other in candidates if self._similarity(number, other) >= self._near)

    def _similarity(self, one: int, other: int) -> float:
        both = len(self._grams[one] & self._grams[other])
        return both / (len(self._grams[one]) + len(self._grams[other]) - both)


def alike_pairs(texts: Sequence[str], near: float = NEAR) -> Iterator[tuple[int, int]]:
    """All pairs of texts that are alike, by number, the lower first."""
    index = AlikeIndex(texts, near)
    for number in range(len(texts)):
        yield from ((other, number) for other in index.like(number))
        index.add(number)


def trigrams(text: str) -> set[tuple[str, ...]]:
    """Runs of three words or signs, case aside; a shorter text is one run."""
    words = re.findall(r"\w+|[^\w\s]", text.casefold())
    return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}
