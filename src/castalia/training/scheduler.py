"""The order of training items as a pure function: `(seed, step) -> indices`.

An epoch is a permutation of the items (repeated by their weight); epochs follow each other as one stream, which is cut
into batches. Whoever asks for step 17 gets the same batch: after a resume, and on 1, 2 or 8 ranks, since a rank takes its
share of the batch and not a stream of its own.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal

from castalia.records import Difficulty

_RANK: dict[Difficulty, int] = {"easy": 0, "medium": 1, "hard": 2}


@dataclass(frozen=True)
class Item:
    """What the scheduler knows of one training sample."""

    category: str
    difficulty: Difficulty = "medium"
    length: int = 0
    """In tokens. Batches are made of similar lengths, so little of them is padding."""
    weight: float = 1.0
    """How often it occurs in an epoch, on average."""


@dataclass(frozen=True)
class Schedule:
    """Batches of item numbers.

    `curriculum` goes from easy to hard inside every category in the first epoch and fades to random in the last; `random`
    ignores difficulty. Either way categories are interleaved: any stretch holds them in the proportion of the whole.
    """

    items: tuple[Item, ...]
    batch_size: int
    epochs: float
    seed: int = 0
    order: Literal["random", "curriculum"] = "random"
    window: int = 4
    """Batches among which items are exchanged to match their lengths."""
    _epoch: object = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if not self.items or self.batch_size < 1 or self.epochs <= 0:
            raise ValueError(f"a schedule needs items, a batch size and epochs; got {len(self.items)}, {self.batch_size}, {self.epochs}")
        object.__setattr__(self, "_epoch", lru_cache(maxsize=4)(self._make_epoch))

    @cached_property
    def steps(self) -> int:
        """Batches in the run: enough for `epochs` passes; the last one is filled from the next epoch."""
        whole = sum(len(self.epoch(number)) for number in range(int(self.epochs)))
        rest = self.epochs - int(self.epochs)
        return max(1, math.ceil((whole + (rest * len(self.epoch(int(self.epochs))) if rest else 0)) / self.batch_size))

    def batch(self, step: int) -> list[int]:
        """The `batch_size` item numbers of `step`, counted from 0. Raises IndexError behind the last step."""
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} of a run of {self.steps} steps")
        first = step // self.window * self.window
        # The last window ends with the run: exchanging with batches behind it would lose items.
        stretch = self._stretch(first * self.batch_size, min(self.window, self.steps - first) * self.batch_size)
        by_length = sorted(range(len(stretch)), key=lambda place: (self.items[stretch[place]].length, place))
        batches = [by_length[start : start + self.batch_size] for start in range(0, len(by_length), self.batch_size)]
        batches.sort(key=lambda places: self._shuffled(f"window {first}", places[0], places))
        return [stretch[place] for place in batches[step - first]]

    def epoch(self, number: int) -> tuple[int, ...]:
        """The item numbers of one epoch, before lengths are matched."""
        return self._epoch(number)  # type: ignore[operator]

    def _shuffled(self, what: str, place: int, places: Sequence[int]) -> float:
        """The sort key of a batch: by difficulty where that is the order, else by lot."""
        return _lot(self.seed, what, place) if self.order == "random" else sum(places) / len(places)

    def _stretch(self, start: int, count: int) -> list[int]:
        """`count` items of the endless stream of epochs, from `start` on."""
        number = 0
        while start >= len(self.epoch(number)):
            start -= len(self.epoch(number))
            number += 1
        taken: list[int] = []
        while len(taken) < count:
            taken += self.epoch(number)[start : start + count - len(taken)]
            number, start = number + 1, 0
        return taken

    def _make_epoch(self, number: int) -> tuple[int, ...]:
        by_category: dict[str, list[tuple[float, int]]] = defaultdict(list)
        last = max(1, math.ceil(self.epochs) - 1)
        strictness = 1 - min(1.0, number / last) if self.order == "curriculum" else 0.0
        for index, item in enumerate(self.items):
            copies = int(item.weight) + (_lot(self.seed, f"copies {number}", index) < item.weight % 1)
            for copy in range(copies):
                key = strictness * _RANK[item.difficulty] + _lot(self.seed, f"order {number} {copy}", index)
                by_category[item.category].append((key, index))
        placed: list[tuple[float, float, int]] = []
        for category, entries in by_category.items():
            entries.sort()
            shift = _lot(self.seed, f"shift {number} {category}", 0)
            placed += [((place + shift) / len(entries), key, index) for place, (key, index) in enumerate(entries)]
        placed.sort()
        # All weights below 1 can leave an epoch without items; it then passes over everything once.
        return tuple(index for _, _, index in placed) or tuple(range(len(self.items)))


def _lot(seed: int, what: str, index: int) -> float:
    """A number in [0, 1) that depends on its arguments only, on every machine and in every version."""
    digest = hashlib.blake2b(f"{seed}/{what}/{index}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56
