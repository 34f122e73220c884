# pyright: basic
"""All tags of a source at once, without a loop over them: where each `<` stands, and the name after it as two numbers."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

_LETTERS = 16
"""Of a name; those that are asked for are shorter."""
_SHORT = 8


class Tags(NamedTuple):
    """Every `<` of a source, T of them, those in comments and scripts included."""

    source: bytes
    """The source with one byte per character, so that places in it are places in the source; what is not ASCII is `?`."""
    starts: np.ndarray
    """[T] where they stand."""
    names: np.ndarray
    """[T, 2] the name that follows, in lower case, as little-endian uint64: 8 letters in each. The name of a comment begins with `!--`."""
    closing: np.ndarray
    """[T] whether a slash stands before the name."""

    def named(self, name: str) -> np.ndarray:
        """[T] whether this is the name."""
        first, second = name_numbers([name])[0]
        return (self.names[:, 0] == first) & (self.names[:, 1] == second)

    def beginning(self, name: str) -> np.ndarray:
        """[T] whether the name begins with this one of at most 8 letters."""
        mask = np.uint64(256 ** len(name) - 1)
        return (self.names[:, 0] & mask) == name_numbers([name])[0, 0]

    def short(self, names: np.ndarray) -> np.ndarray:
        """[T] whether the name is one of `names`, sorted numbers of names of at most 8 letters."""
        found = names[np.minimum(np.searchsorted(names, self.names[:, 0]), len(names) - 1)]
        return (found == self.names[:, 0]) & (self.names[:, 1] == 0)


def find_tags(html: str, most: int) -> Tags | None:
    """The tags of a source; None where there are more than `most`, as each takes about 100 bytes."""
    source = html.encode("ascii", "replace")
    letters = np.frombuffer(source + b"x" * (_LETTERS + 2), np.uint8)
    starts = np.flatnonzero(letters == ord("<"))
    if len(starts) > most:
        return None
    closing = letters[starts + 1] == ord("/")
    names = np.lib.stride_tricks.sliding_window_view(letters, _LETTERS)[starts + 1 + closing]
    names += ((names >= ord("A")) & (names <= ord("Z"))) * np.uint8(32)
    ends = (names <= ord(" ")) | (names == ord("/")) | (names == ord(">"))
    names[np.maximum.accumulate(ends.view(np.uint8), axis=1).view(bool)] = 0
    return Tags(source, starts, names.view("<u8"), closing)


def name_numbers(names: Iterable[str]) -> np.ndarray:
    """[N, 2] names as `Tags` has them."""
    return np.frombuffer(b"".join(name.encode().ljust(_LETTERS, b"\0") for name in names), "<u8").reshape(-1, 2)


def short_names(names: Iterable[str]) -> np.ndarray:
    """Sorted numbers of those names that have at most 8 letters, for `Tags.short`."""
    return np.sort(name_numbers(name for name in names if len(name) <= _SHORT)[:, 0])
