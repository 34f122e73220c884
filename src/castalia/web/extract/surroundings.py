# pyright: basic
"""The elements that a page's units stand in: their names, how deep they are, and which of them holds the running text."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from zlib import crc32

import numpy as np

from castalia.web.extract.tree import Element, Parsed

NAMES = 4096
"""Buckets for names of elements."""
REGIONS = ("nav", "footer", "header", "aside", "main", "article", "form", "table", "li", "section")
"""Elements that say where in a page one is."""
_REGION_BITS = {name: 1 << place for place, name in enumerate(REGIONS)}
_ROLES = {"navigation": "nav", "contentinfo": "footer", "banner": "header", "complementary": "aside", "main": "main"}
# `[A-Z]?[a-z]{2,}|[A-Z]{2,}`, and the one space before an attribute: where the first character is one of a certain set, the engine
# skips to it, which is 2 times as fast here and 9 times there.
_NAME_PIECE = re.compile(r"[A-Za-z](?:(?<=[a-z])[a-z]+|(?<=[A-Z])(?:[a-z]{2,}|[A-Z]+))")
_ATTRIBUTE = re.compile(r' (class|id|role|itemprop|data-testid|aria-label)="([^"]*)"')
_REMEMBERED = 50_000
"""Words whose buckets are kept in memory."""
_LONG = 80
"""Characters: what is longer and not mostly links is running text."""


class Buckets(dict[str, int]):
    """The bucket of every word; words that were asked for are remembered."""

    def __init__(self, buckets: int) -> None:
        super().__init__()
        self._buckets = buckets

    def __missing__(self, word: str) -> int:
        if len(self) >= _REMEMBERED:
            self.clear()
        self[word] = bucket = crc32(word.encode()) % self._buckets
        return bucket


class Surroundings:
    """Numbers of E elements: those in which units begin and all around them. An element comes after the one around it; 0 is the body."""

    def __init__(self, page: Parsed) -> None:
        index = _numbered(page)
        self.elements = [*index]
        parents = [0, *(index[element.parent] for element in self.elements[1:] if element.parent is not None)]
        marks = [read_names(element.raw) for element in self.elements]
        shapes, depths, regions = [0], [0], [0]
        for around, (names, region) in zip(parents[1:], marks[1:], strict=True):
            shapes.append(hash((shapes[around], names)) & 0x7FFFFFFF)
            depths.append(depths[around] + 1)
            regions.append(regions[around] | region)
        innermost = [index[unit.places[0][0] if unit.places else unit.element] for unit in page.units]
        blocks = [index[unit.element] for unit in page.units]
        prose = _running_text(page, blocks, parents)
        branches, trunks, steps = _climb(prose, parents)
        self.innermost = np.array(innermost, np.int32)
        """[N] the element that each unit's text begins in."""
        self.blocks = np.array(blocks, np.int32)
        """[N] the block of each unit."""
        self.parents = np.array(parents, np.int32)
        """[E] the element around each, for the body itself."""
        self.names = [names for names, _ in marks]
        """For each element the buckets of its names."""
        self.shapes = shapes
        """Equal for elements that have equal names from below the body on."""
        self.depths = np.array(depths)
        """[E] elements around each."""
        self.regions = np.array(regions)
        """[E] a bit for every region that each is in."""
        self.prose = np.array(prose)
        """[E] characters of running text in each."""
        self.branches = np.array(branches, np.int32)
        """[E] through which element each hangs below its trunk."""
        self.trunks = np.array(trunks, np.int32)
        """[E] the nearest element with half of the running text, each itself included."""
        self.steps = np.array(steps)
        """[E] how far up the trunk is."""


def _numbered(page: Parsed) -> dict[Element, int]:
    index = {page.body: 0}
    for unit in page.units:
        above: Element | None = unit.places[0][0] if unit.places else unit.element
        missing: list[Element] = []
        while above is not None and above not in index:
            missing.append(above)
            above = above.parent
        index.update(zip(reversed(missing), count(len(index))))
    return index


def _running_text(page: Parsed, blocks: Sequence[int], parents: Sequence[int]) -> list[int]:
    prose = [0] * len(parents)
    for unit, block in zip(page.units, blocks, strict=True):
        length = sum(map(len, unit.texts))
        if length > _LONG and unit.linked < 0.4 * length:
            prose[block] += length
    for element in range(len(prose) - 1, 0, -1):
        prose[parents[element]] += prose[element]
    return prose


def _climb(prose: Sequence[int], parents: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """Branches, trunks and steps; without any running text the body is the trunk."""
    half = prose[0] / 2 or 1
    branches, trunks, steps = [0], [0], [0]
    for element in range(1, len(prose)):
        around = parents[element]
        is_trunk = prose[element] >= half
        steps.append(0 if is_trunk else steps[around] + 1)
        trunks.append(element if is_trunk else trunks[around])
        branches.append(branches[around] if steps[element] > 1 else element)
    return branches, trunks, steps


@lru_cache(maxsize=20_000)
def read_names(raw: str) -> tuple[tuple[int, ...], int]:
    """Buckets of the names in a start tag, and the bit of the region that it opens, 0 for none."""
    tag = raw.partition(" ")[0]
    found = {_BUCKETS[tag]}
    region = _REGION_BITS.get(tag, 0)
    for name, value in _ATTRIBUTE.findall(raw) if '="' in raw else ():
        if name == "role":
            found.add(_BUCKETS[f"role={value.lower()}"])
            region = region or _REGION_BITS.get(_ROLES.get(value, ""), 0)
        else:
            found.update(map(_BUCKETS.__getitem__, map(str.lower, _NAME_PIECE.findall(value)[:12])))
    return tuple(sorted(found)), region


_BUCKETS = Buckets(NAMES)
