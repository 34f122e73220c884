# pyright: basic
"""Which units of a page are its main content; the rest is taken out of the tree.

The model judges units. What belongs together stays together: the cells of a data table are kept or dropped as one, a block of code
is kept when it is likelier content than the text that is kept, and a picture is kept between units that are.
"""

from collections import defaultdict

import numpy as np

from castalia.web.extract.code import CODE_TAGS
from castalia.web.extract.features import read_features
from castalia.web.extract.model import shipped_model
from castalia.web.extract.segment import API_CLASSES
from castalia.web.extract.table import is_layout, is_navigation
from castalia.web.extract.tree import BLOCK_TAGS, Element, Parsed, Unit

_WHOLE = ("table", "pre", "xmp", "listing", "code", "math", "figure")
_FEW_LINKS = 200
"""Characters."""
_HOLE = 6
"""Units that may be missing between kept ones."""
_HOLE_WORDS = 200
_HOLE_LINKED = 0.7
_TAIL = 3
"""Units that may be missing after the last kept one."""
_DOUBT = 0.002
"""Of the threshold: what is less likely than this is left out even inside a text."""
_HEADING = 0.3
"""Of the threshold, for a heading right above something that is kept."""
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_SMALL_PAGE = 500
"""Words below which a page is too short for the expected F1 to mean much, so that holes in its text are filled."""
_LEVELS = 5
_MOST = 0.6
_LOST = 0.05
"""Threshold below which the model has no idea of the page, as of one that is all formulas: all that is no link is kept."""
_DESCRIBED = 0.1
"""Of the threshold, for descriptions of functions and classes, which are short pieces that no navigation has."""
_INSIDE = 0.05
"""Of the threshold, for a data table inside a text."""
CODE_SHARE = 0.4
"""Of the threshold for text, for code and data tables: in navigation it is rare, and what is lost of them can't be made up for by text around it."""


def select(page: Parsed, title: str) -> list[Unit]:
    """Empties every unit of `page` that is no main content; gives all units from the first to the last that is."""
    if not page.units:
        return []
    features = read_features(page, title)
    judged = shipped_model().probabilities(features)
    threshold = best_threshold(judged, features.sizes)
    wanted = judged >= threshold
    if threshold < _LOST:
        wanted = np.array([2 * unit.linked < sum(map(len, unit.texts)) for unit in page.units])
    together: defaultdict[int, list[int]] = defaultdict(list)
    tables: dict[int, Element] = {}
    for number, unit in enumerate(page.units):
        table = _table_of(unit)
        if table is not None:
            tables[id(table)] = table
            together[id(table)].append(number)
        elif unit.element.tag in CODE_TAGS:
            wanted[number] = judged[number] >= CODE_SHARE * threshold
        elif judged[number] >= _DESCRIBED * threshold and _describes(unit.element):
            wanted[number] = True
    clear = judged >= threshold
    navigation: list[int] = []
    for key, numbers in together.items():
        if is_navigation(tables[key]):
            judged[numbers] = 0
            navigation.extend(numbers)
        elif len(numbers) > 1 and not is_layout(tables[key]):
            sizes = features.sizes[numbers]
            likely = float((judged[numbers] * sizes).sum() / max(1, sizes.sum()))
            least = _INSIDE if _is_inside(page.units, clear, tables[key], numbers) else CODE_SHARE
            wanted[numbers] = likely >= least * threshold
    if features.sizes.sum() < _SMALL_PAGE:
        _fill(page.units, wanted, features.sizes)
    for number in range(len(wanted) - 2, -1, -1):
        if (
            wanted[number + 1]
            and judged[number] >= _HEADING * threshold
            and page.units[number].element.tag in _HEADINGS
            and (_ancestors(page.units[number].element, 3) & _ancestors(page.units[number + 1].element, 3))
        ):
            wanted[number] = True
    _mend(page.units, wanted, judged, features.sizes, threshold)
    wanted[navigation] = False
    _drop_headings(page.units, wanted)
    if _is_only_links([unit for unit, is_wanted in zip(page.units, wanted, strict=True) if is_wanted]):
        wanted[:] = False
    for unit, is_wanted in zip(page.units, wanted, strict=True):
        if not is_wanted:
            for parent, place in unit.places:
                parent.children[place] = ""
    for image, after in page.images:
        kept = bool(wanted[min(after, len(wanted)) - 1]) if after else False
        if not kept or not (after >= len(wanted) or wanted[after]):
            image.tag = "wbr"
    _prune(page, wanted)
    places = np.flatnonzero(wanted)
    return page.units[int(places[0]) : int(places[-1]) + 1] if len(places) else []


def _describes(element: Element) -> bool:
    """Whether the element belongs to the description of a function, class or the like: `<dl class="py method">` around a signature."""
    above: Element | None = element
    while above is not None:
        if above.tag == "dl" and not above.classes.isdisjoint(API_CLASSES):
            return True
        above = above.parent
    return False


def _is_inside(units: list[Unit], clear: np.ndarray, table: Element, numbers: list[int]) -> bool:
    """Whether a table, few of whose words are links, stands between text of its own part of the page that is kept for sure."""
    linked = sum(units[number].linked for number in numbers)
    if linked > _HOLE_LINKED * sum(len(text) for number in numbers for text in units[number].texts):
        return False
    around = _ancestors(table)
    before = range(max(0, numbers[0] - _HOLE), numbers[0])
    after = range(numbers[-1] + 1, min(len(units), numbers[-1] + 1 + _HOLE))
    return all(any(clear[number] and around & _ancestors(units[number].element) for number in side) for side in (before, after))


def _is_only_links(units: list[Unit]) -> bool:
    """Whether a few links are all there is: the navigation of an empty page."""
    length = sum(len(" ".join(text.split())) for unit in units for text in unit.texts)
    return length < _FEW_LINKS and sum(unit.linked for unit in units) >= 0.9 * length


def _prune(page: Parsed, wanted: np.ndarray) -> None:
    """Takes block elements without kept text out, so that nobody walks through them; an empty one in a table or in code has its meaning."""
    live: set[int] = set()
    for unit, is_wanted in zip(page.units, wanted, strict=True):
        if is_wanted:
            for parent, _ in unit.places:
                above: Element | None = parent
                while above is not None and id(above) not in live:
                    live.add(id(above))
                    above = above.parent
    stack = [page.body]
    while stack:
        element = stack.pop()
        children = [child for child in element.children if isinstance(child, str) or id(child) in live or child.tag not in BLOCK_TAGS]
        element.children = children
        stack.extend(child for child in children if isinstance(child, Element) and child.tag not in _WHOLE)


def _fill(units: list[Unit], wanted: np.ndarray, sizes: np.ndarray) -> None:
    """Keeps doubtful units, marking them in `wanted`, that stand in an element most of whose words are kept: no holes in a text."""
    kept: defaultdict[int, int] = defaultdict(int)
    total: defaultdict[int, int] = defaultdict(int)
    for unit, is_wanted, size in zip(units, wanted.tolist(), sizes.tolist(), strict=True):
        above: Element | None = unit.element
        for _ in range(_LEVELS + 1):
            if above is None:
                break
            total[id(above)] += size
            if is_wanted:
                kept[id(above)] += size
            above = above.parent
    for number in np.flatnonzero(~wanted).tolist():
        unit = units[number]
        if unit.linked > 0.5 * sum(map(len, unit.texts)):
            continue
        above = unit.element.parent
        for _ in range(_LEVELS):
            if above is None or above.tag == "body":
                break
            if kept[id(above)] >= _MOST * total[id(above)]:
                wanted[number] = True
                break
            above = above.parent


def _mend(units: list[Unit], wanted: np.ndarray, judged: np.ndarray, sizes: np.ndarray, threshold: float) -> None:
    """Keeps, marking them in `wanted`, short runs of doubtful units that are not all links between kept ones in the same part of the page."""
    kept = np.flatnonzero(wanted).tolist()
    if not kept:
        return
    end = kept[-1] + 1
    while end < min(len(units), kept[-1] + 1 + _TAIL) and _ancestors(units[end].element) & _ancestors(units[kept[-1]].element):
        end += 1
    for before, after in zip(kept, [*kept[1:], end], strict=True):
        hole = range(before + 1, after)
        if (
            not 0 < len(hole) <= _HOLE
            or sizes[before + 1 : after].sum() > _HOLE_WORDS
            or judged[before + 1 : after].min() < _DOUBT * threshold
        ):
            continue
        if sum(units[number].linked for number in hole) > _HOLE_LINKED * sum(len(text) for number in hole for text in units[number].texts):
            continue
        around = _ancestors(units[before].element)
        if all(around & _ancestors(units[number].element) for number in hole):
            wanted[before + 1 : after] = True


def _drop_headings(units: list[Unit], wanted: np.ndarray) -> None:
    """Drops, marking them in `wanted`, headings below the first level of whose section nothing is kept though it has text."""
    following = len(units)
    for number in range(len(units) - 1, -1, -1):
        if not wanted[number]:
            continue
        tag = units[number].element.tag
        if tag in _HEADINGS[1:] and following > number + 1:
            after = units[following].element.tag if following < len(units) else "h1"
            between = [unit for unit in units[number + 1 : following] if unit.element.tag not in _HEADINGS]
            if (
                after in _HEADINGS
                and after <= tag
                and any(_ancestors(tag_unit.element, 3) & _ancestors(units[number].element, 3) for tag_unit in between[:3])
            ):
                wanted[number] = False
                continue
        following = number


def _ancestors(element: Element, levels: int = _LEVELS) -> set[int]:
    found: set[int] = set()
    above: Element | None = element
    for _ in range(levels):
        if above is None or above.tag == "body":
            break
        found.add(id(above))
        above = above.parent
    return found


def best_threshold(judged: np.ndarray, sizes: np.ndarray) -> float:
    """The probability from which on units are kept so that the expected word F1 is highest: half of that F1.

    On a page where the model is sure it lies near one half; where it is not, more is kept (Lipton, Elkan and Naryanaswamy 2014).
    """
    order = np.argsort(-judged, kind="stable")
    kept, true = np.cumsum(sizes[order]), np.cumsum((judged * sizes)[order])
    expected = 2 * true / (kept + true[-1] + 1e-6)
    return float(expected.max()) / 2


def _table_of(unit: Unit) -> Element | None:
    """The innermost table around a unit that holds no block of code."""
    above: Element | None = unit.element
    while above is not None:
        if above.tag in CODE_TAGS:
            return None
        if above.tag == "table":
            return above
        above = above.parent
    return None
