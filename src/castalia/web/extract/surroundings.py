# pyright: basic
"""The elements that a page's units stand in: their names, how deep they are, and which of them holds the running text."""

import re
from functools import lru_cache
from zlib import crc32

import numpy as np

from castalia.web.extract.tree import Element, Parsed

NAMES = 4096
"""Buckets for names of elements."""
REGIONS = ("nav", "footer", "header", "aside", "main", "article", "form", "table", "li", "section")
"""Elements that say where in a page one is."""
_REGION_BITS = {name: 1 << place for place, name in enumerate(REGIONS)}
_ROLES = {"navigation": "nav", "contentinfo": "footer", "banner": "header", "complementary": "aside", "main": "main"}
_NAME_PIECE = re.compile(r"[A-Z]?[a-z]{2,}|[A-Z]{2,}")
_ATTRIBUTE = re.compile(r'\s(class|id|role|itemprop|data-testid|aria-label)="([^"]*)"')
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
        self.elements: list[Element] = [page.body]
        self.names = [read_names(page.body.raw)[0]]
        """For each element the buckets of its names."""
        self.shapes = [0]
        """Equal for elements that have equal names from the body down."""
        self._index = {page.body: 0}
        self._parents = [0]
        self._depths = [0]
        self._regions = [0]
        units = page.units
        self.innermost = np.array([self._place(unit.places[0][0] if unit.places else unit.element) for unit in units], np.int32)
        """[N] the element that each unit's text begins in."""
        self.blocks = np.array([self._index[unit.element] for unit in units], np.int32)
        """[N] the block of each unit."""
        self.parents = np.array(self._parents, np.int32)
        """[E] the element around each, for the body itself."""
        self.depths = np.array(self._depths)
        """[E] elements around each."""
        self.regions = np.array(self._regions)
        """[E] a bit for every region that each is in."""
        prose = self._running_text(page)
        self.prose = np.array(prose)
        """[E] characters of running text in each."""
        branches, trunks, steps = self._climb(prose)
        self.branches = np.array(branches, np.int32)
        """[E] through which element each hangs below its trunk."""
        self.trunks = np.array(trunks, np.int32)
        """[E] the nearest element with half of the running text, each itself included."""
        self.steps = np.array(steps)
        """[E] how far up the trunk is."""

    def _place(self, element: Element) -> int:
        """The number of `element`, which it gets together with all around it that have none."""
        index = self._index
        missing: list[Element] = []
        above = element
        while above not in index and above.parent is not None:
            missing.append(above)
            above = above.parent
        number = index[above]
        for new in reversed(missing):
            around, number = number, len(self.elements)
            names, region = read_names(new.raw)
            index[new] = number
            self.elements.append(new)
            self.names.append(names)
            self.shapes.append(hash((self.shapes[around], names)) & 0x7FFFFFFF)
            self._parents.append(around)
            self._depths.append(self._depths[around] + 1)
            self._regions.append(self._regions[around] | region)
        return number

    def _running_text(self, page: Parsed) -> list[int]:
        prose = [0] * len(self.elements)
        for unit, block in zip(page.units, self.blocks.tolist(), strict=True):
            length = sum(map(len, unit.texts))
            if length > _LONG and unit.linked < 0.4 * length:
                prose[block] += length
        for element in range(len(prose) - 1, 0, -1):
            prose[self._parents[element]] += prose[element]
        return prose

    def _climb(self, prose: list[int]) -> tuple[list[int], list[int], list[int]]:
        """Branches, trunks and steps; without any running text the body is the trunk."""
        half = prose[0] / 2 or 1
        branches, trunks, steps = [0], [0], [0]
        for element in range(1, len(prose)):
            around = self._parents[element]
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
