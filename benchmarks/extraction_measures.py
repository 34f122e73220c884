# pyright: basic
"""What is counted: words, code blocks, table rows, headings."""

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.extraction_gold import Pair, unmarked

_WORD = re.compile(r"\w+")
_TAG = re.compile(r"<[^>]*>")


class Structure(NamedTuple):
    """How many of a kind were wanted and found."""

    wanted: int = 0
    found: int = 0

    def __add__(self, other: "Structure") -> "Structure":  # pyright: ignore[reportIncompatibleMethodOverride]
        return Structure(self.wanted + other.wanted, self.found + other.found)

    @property
    def share(self) -> float | None:
        """Found of wanted; None where nothing was wanted."""
        return self.found / self.wanted if self.wanted else None


def words(text: str) -> list[str]:
    """Lower-case words."""
    return _WORD.findall(text.lower())


def word_f1(text: str, gold: str) -> float:
    """F1 of the bags of words; 1 when both are empty."""
    ours, wanted = Counter(words(text)), Counter(words(gold))
    common = (ours & wanted).total()
    return 2 * common / (ours.total() + wanted.total()) if ours or wanted else 1.0


def code_found(wanted: Sequence[str], blocks: Sequence[str]) -> Structure:
    """Gold code that stands byte for byte inside a block, a no-break space being a space."""
    held = [block.replace("\xa0", " ") for block in blocks]
    return Structure(len(wanted), sum(any(code.replace("\xa0", " ") in block for block in held) for code in wanted))


def rows_found(wanted: Sequence[tuple[str, ...]], rows: Sequence[Sequence[str]]) -> Structure:
    """Gold rows whose cells all stand in one row, in order; cells are compared as words.

    The gold writes a cell that spans columns once and leaves the other columns empty; where it does, a repetition of the cell to the left
    is no difference.
    """
    cells = [tuple(" ".join(words(unmarked(cell))) for cell in row) for row in rows]
    left = Counter(map(_filled, cells))
    merged = Counter((len(row), _filled(_once(row)), _filled(row)) for row in cells if _filled(_once(row)) != _filled(row))
    found = 0
    for row in wanted:
        key = _filled(row)
        same = next((known for known in merged if known[:2] == (len(row), key) and left[known[2]]), None) if not left[key] else None
        key = same[2] if same else key
        if left[key]:
            left[key] -= 1
            found += 1
    return Structure(len(wanted), found)


def _filled(row: Sequence[str]) -> tuple[str, ...]:
    return tuple(cell for cell in row if cell)


def _once(row: Sequence[str]) -> tuple[str, ...]:
    return tuple("" if place and cell == row[place - 1] else cell for place, cell in enumerate(row))


def headings_kept(pair: Pair, headings: Sequence[tuple[int, str]]) -> Structure:
    """Length of the longest common sequence of headings (level and words) against the longer of both lists.

    The gold has no heading of level 1, and leaves out one that repeats the page's title; headings that it made up itself, which stand
    nowhere in the source, are left out of it.
    """
    title, source = words(pair.title), " ".join(words(_TAG.sub(" ", pair.html)))
    gold = [(level, text) for level, text in ((level, " ".join(words(unmarked(text)))) for level, text in pair.headings) if text in source]
    ours = [(max(2, level), " ".join(words(unmarked(text)))) for level, text in headings]
    if ours and ours[0] not in gold and (ours[0][1] == " ".join(title) or headings[0][0] == 1):
        ours = ours[1:]
    matcher = difflib.SequenceMatcher(None, gold, ours, autojunk=False)
    common = sum(block.size for block in matcher.get_matching_blocks())
    return Structure(max(len(gold), len(ours)), common)
