# pyright: basic
"""What a model sees of a page's units: numbers, hashed names of the elements around them, hashed words, and what belongs together."""

import re
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

import numpy as np

from castalia.web.extract.tree import Element, Parsed
from castalia.web.prescan import word_set

NAMES = 4096
"""Buckets for names of elements."""
WORDS = 4096
"""Buckets for words."""
_FIRST_WORDS = 10
_LAST_WORDS = 3
_NAME_PIECE = re.compile(r"[A-Z]?[a-z]{2,}|[A-Z]{2,}")
_ATTRIBUTE = re.compile(r'\s(class|id|role|itemprop|data-testid|aria-label)="([^"]*)"')
_STOP = word_set(
    "the of and to a in is that for it as was with be by on not he i this are or his from at which but have an had they you were their one all "
    "we can her has there been if more when will would who so no she its our your de la que el en y los der die und das le les et des il di"
)
_KINDS = {
    tag: place
    for place, tags in enumerate(
        (
            "p",
            "li",
            "td th",
            "h1",
            "h2",
            "h3",
            "h4 h5 h6",
            "div section article main",
            "pre xmp listing",
            "dt dd",
            "blockquote",
            "figcaption caption",
            "label legend option",
            "tr table tbody",
        )
    )
    for tag in tags.split()
}
_REGIONS = {
    name: place for place, name in enumerate(("nav", "footer", "header", "aside", "main", "article", "form", "table", "li", "section"))
}
_DIGIT = re.compile(r"[0-9]")
_MONEY = re.compile(r"[$€£¥]\s?\d|\d\s?[€£]")
_DATE = re.compile(r"\b(?:19|20)\d\d\b|\b\d{1,2}[:/.-]\d{1,2}\b|\bago\b")


class Features(NamedTuple):
    """Arrays for N units of a page, E of its elements."""

    dense: np.ndarray
    """[N, D] float32."""
    names: np.ndarray
    """Buckets of the names of all elements, one element after the other."""
    name_starts: np.ndarray
    """[E + 1] where each element's names begin."""
    parents: np.ndarray
    """[E] index of the element around it, 0 for the body itself; elements come after those around them."""
    elements: np.ndarray
    """[N] the element of each unit."""
    branches: np.ndarray
    """[N] for each unit the element through which it hangs below the nearest element with half of the running text."""
    words: np.ndarray
    """Buckets of the words, one unit after the other."""
    word_starts: np.ndarray
    """[N + 1] where each unit's words begin."""
    shapes: np.ndarray
    """[N] units with equal numbers stand in elements of equal names."""
    siblings: np.ndarray
    """[N] units with equal numbers share the element around their own."""
    sizes: np.ndarray
    """[N] words of each unit."""


@lru_cache(maxsize=20_000)
def _names(tag: str, attributes: tuple[tuple[str, str], ...]) -> tuple[int, ...]:
    found = {tag}
    for name, value in attributes:
        if name == "role":
            found.add(f"role={value.lower()}")
        else:
            found.update(piece.lower() for piece in _NAME_PIECE.findall(value)[:12])
    return tuple(sorted({crc32(name.encode()) % NAMES for name in found}))


@lru_cache(maxsize=50_000)
def _word(word: str) -> int:
    return crc32(word.encode()) % WORDS


def read_features(page: Parsed, title: str) -> Features:
    """Features of all units of `page`; `title` is the page's title."""
    units = page.units
    index: dict[int, int] = {id(page.body): 0}
    order: list[Element] = [page.body]
    parents: list[int] = [0]
    names: list[int] = []
    starts: list[int] = [0]
    regions: list[tuple[int, ...]] = [(0,) * len(_REGIONS)]
    shapes: list[int] = [0]
    depths: list[int] = [0]
    body_names = _names("body", tuple(_ATTRIBUTE.findall(page.body.raw)))
    names.extend(body_names)
    starts.append(len(names))

    def place(element: Element) -> int:
        missing: list[Element] = []
        above: Element | None = element
        while above is not None and id(above) not in index:
            missing.append(above)
            above = above.parent
        for new in reversed(missing):
            around = index[id(new.parent)]
            index[id(new)] = len(order)
            order.append(new)
            parents.append(around)
            raw = new.raw
            found = _names(new.tag, tuple(_ATTRIBUTE.findall(raw)) if '="' in raw else ())
            names.extend(found)
            starts.append(len(names))
            region = _REGIONS.get(new.tag)
            if region is None and 'role="' in raw:
                region = _REGIONS.get(
                    {"navigation": "nav", "contentinfo": "footer", "banner": "header", "complementary": "aside", "main": "main"}.get(
                        new.get("role"), ""
                    )
                )
            if region is None:
                regions.append(regions[around])
            else:
                inside = list(regions[around])
                inside[region] = 1
                regions.append(tuple(inside))
            shapes.append(hash((shapes[around] if depths[around] else 0, found)) & 0x7FFFFFFF)
            depths.append(depths[around] + 1)
        return index[id(element)]

    prose: dict[int, int] = {}
    total_prose = 0
    for unit in units:
        length = sum(map(len, unit.texts))
        if length > 80 and unit.linked < 0.4 * length:
            total_prose += length
            above: Element | None = unit.element
            while above is not None:
                prose[id(above)] = prose.get(id(above), 0) + length
                above = above.parent
    half = total_prose / 2
    branches: list[int] = []
    branch_of: dict[int, tuple[Element, Element, int]] = {}

    def climb(block: Element) -> tuple[Element, Element, int]:
        """The branch of a block, the element that it hangs below, and how far up that is."""
        found = branch_of.get(id(block))
        if found is None:
            branch, above, steps = block, block, 0
            while above.parent is not None and (prose.get(id(above), 0) < half or not half):
                branch, above, steps = above, above.parent, steps + 1
            found = branch_of[id(block)] = branch, above, steps
        return found

    title_words = set(re.findall(r"\w+", title.lower()))
    rows: list[list[float]] = []
    elements: list[int] = []
    words: list[int] = []
    word_starts: list[int] = [0]
    sizes: list[int] = []
    seen: dict[str, int] = {}
    total_words = 0
    texts: list[str] = []
    for unit in units:
        text = " ".join("".join(unit.texts).split())
        texts.append(text)
        seen[text] = seen.get(text, 0) + 1
    total_text = max(1, page.body.text_length)
    body_density = page.body.link_length / total_text
    heading_at = next((number for number, unit in enumerate(units) if unit.element.tag == "h1"), -1)
    count = len(units)
    previous_block: Element | None = None
    for number, unit in enumerate(units):
        text = texts[number]
        lower = text.lower()
        split = lower.split()
        size = len(split)
        length = max(1, len(text))
        block = unit.element
        inline = unit.places[0][0] if unit.places else block
        where = place(inline if inline is not block else block)
        around = index[id(block)]
        outer = block.parent or block
        outer2 = outer.parent or outer
        stop = len([word for word in split[:40] if word in _STOP]) / max(1, min(size, 40))
        branch, trunk, steps = climb(block)
        letters_upper = text[:1].isupper()
        last = text[-1:]
        kind = _KINDS.get(block.tag, 14)
        overlap = sum(word in title_words for word in set(split)) / max(1, len(title_words)) if size < 40 else 0.0
        row = [
            _LOG[min(size, 2000)],
            _LOG[min(length, 2000)],
            min(1.0, unit.linked / length),
            length / max(1, size) / 10,
            stop,
            float(letters_upper),
            float(last in ".!?…。"),
            float(last == ":"),
            (text.count(",") + text.count(";")) / max(1, size) * 4,
            text.count(". ") / max(1, size) * 10,
            len(_DIGIT.findall(text[:100])) / min(length, 100),
            float(text.isupper()),
            float(bool(_MONEY.search(text[:200]))),
            float(bool(_DATE.search(text[:200]))),
            float("©" in text or "copyright" in lower),
            float("|" in text or "»" in text or "›" in text or "→" in text),
            min(seen[text], 5) / 5,
            overlap,
            float(overlap > 0.7),
            number / count,
            total_words / total_text * 5,
            float(heading_at >= 0 and number >= heading_at),
            _LOG[min(abs(number - heading_at), 2000)] / 5 if heading_at >= 0 else 1.0,
            depths[around] / 20,
            float(block is previous_block),
            float(inline is not block and inline.tag == "a"),
            float(inline.tag in ("strong", "b", "em", "i")),
            _LOG[min(outer.text_length, 20000) // 10] / 5,
            outer.link_length / max(1, outer.text_length),
            outer.text_length / total_text,
            _LOG[min(outer2.text_length, 20000) // 10] / 5,
            outer2.link_length / max(1, outer2.text_length),
            outer2.text_length / total_text,
            _LOG[min(len(outer.children), 2000)] / 4,
            body_density,
            _LOG[min(count, 2000)] / 5,
            _LOG[min(total_text // 10, 2000)] / 5,
            steps / 10,
            branch.text_length / total_text,
            branch.link_length / max(1, branch.text_length),
            prose.get(id(branch), 0) / max(1, total_prose),
            prose.get(id(outer), 0) / max(1, total_prose),
            prose.get(id(outer2), 0) / max(1, total_prose),
            trunk.text_length / total_text,
            depths[index[id(trunk)]] / 20,
            total_prose / total_text,
        ]
        row.extend(regions[around])
        row.extend(_ONE_HOT[kind])
        rows.append(row)
        elements.append(where)
        branches.append(index[id(branch)])
        hashed = [_word(word) for word in (split if size <= _FIRST_WORDS + _LAST_WORDS else split[:_FIRST_WORDS] + split[-_LAST_WORDS:])]
        words.extend(hashed)
        word_starts.append(len(words))
        sizes.append(size)
        total_words += length
        previous_block = block
    return Features(
        np.array(rows, np.float32).reshape(count, DENSE),
        np.array(names, np.int32),
        np.array(starts, np.int32),
        np.array(parents, np.int32),
        np.array(elements, np.int32),
        np.array(branches, np.int32),
        np.array(words, np.int32),
        np.array(word_starts, np.int32),
        _ranks([shapes[element] for element in elements]),
        _ranks([id(unit.element.parent or unit.element) for unit in units]),
        np.array(sizes, np.int32),
    )


def _ranks(keys: list[int]) -> np.ndarray:
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int32)


_LOG = [float(value) for value in np.log1p(np.arange(2001))]
_ONE_HOT = [[float(place == kind) for place in range(15)] for kind in range(15)]
DENSE = 46 + len(_REGIONS) + 15
