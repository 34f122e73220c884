"""Words of many documents on disk, so that memory doesn't grow with the length of the texts."""

import tempfile
from types import TracebackType
from typing import Self

import numpy as np

from castalia.stages.deduplicate.verify import Text


class Shelf:
    """A temporary file with a place for each of `count` texts, empty ones at first; gone when closed. In memory are 24 bytes a place."""

    def __init__(self, count: int) -> None:
        self._file = tempfile.TemporaryFile(prefix="castalia-words-")  # noqa: SIM115 - closed by __exit__
        self._starts = np.zeros(count, dtype=np.int64)
        self._words = np.zeros(count, dtype=np.int64)
        self._titles = np.zeros(count, dtype=np.int64)
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def put(self, number: int, text: Text) -> None:
        """Stores the text of a number, once."""
        title = text.title.encode("utf-8", "surrogatepass")
        data = text.words.tobytes() + bytes([text.legal]) + title
        self._file.seek(self._end)
        self._file.write(data)
        self._starts[number], self._words[number], self._titles[number] = self._end, len(text.words), len(title)
        self._end += len(data)

    def __getitem__(self, number: int) -> Text:
        words = int(self._words[number]) * 8
        if not words:
            return Text(np.empty(0, dtype=np.uint64), "", legal=False)
        self._file.seek(int(self._starts[number]))
        data = self._file.read(words + 1 + int(self._titles[number]))
        title = data[words + 1 :].decode("utf-8", "surrogatepass")
        return Text(np.frombuffer(data, dtype=np.uint64, count=words // 8), title, legal=data[words] == 1)
