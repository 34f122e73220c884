"""Words of many documents on disk, so that memory doesn't grow with the length of the texts."""

import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np

from castalia.stages.deduplicate.words import Words


class Shelf:
    """A temporary file of word arrays in the order in which they were put; gone when closed."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="castalia-words-")  # noqa: SIM115 - closed by __exit__
        self._ends: list[int] = [0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def put(self, words: Words) -> None:
        """Adds the words of the next document."""
        self._file.seek(0, 2)
        self._file.write(words.tobytes())
        self._ends.append(self._ends[-1] + len(words))

    def __getitem__(self, number: int) -> Words:
        self._file.seek(self._ends[number] * 8)
        return np.frombuffer(self._file.read((self._ends[number + 1] - self._ends[number]) * 8), dtype=np.uint64)

    def __iter__(self) -> Iterator[Words]:
        return (self[number] for number in range(len(self)))
