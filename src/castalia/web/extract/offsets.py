# pyright: basic
"""Where blocks stand in the source: the n-th `<pre>` of the parser's tree is the n-th `<pre` of the source.

That holds for every tag of which both have equally many; for the others a page's source was repaired, and nothing is said.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping

import numpy as np

from castalia.web.prescan import word_set
from castalia.web.tags import Tags, short_names

_COMMENT = "!--"
_HIDING = word_set("script style noscript template svg textarea iframe title object video audio canvas select button noembed noframes")
_HIDING_NUMBERS = short_names(_HIDING)
_NAMES = word_set(
    "p h1 h2 h3 h4 h5 h6 pre table ul ol dl dt dd li div section article main blockquote figure img td th span center details caption"
)


def source_offsets(tags: Tags, names: Iterable[str], counts: Mapping[str, int]) -> dict[str, list[int]]:
    """Character offsets of all start tags with these names, by name, where there are `counts` of them."""
    begins, ends = _hidden(tags)
    offsets: dict[str, list[int]] = {}
    for name in _NAMES.intersection(names):
        places = tags.starts[tags.named(name) & ~tags.closing]
        hidden_from = np.searchsorted(begins, places, "right") - 1
        shown = places[(hidden_from < 0) | (places >= ends[hidden_from])]
        if len(shown) == counts.get(name):
            offsets[name] = shown.tolist()
    return offsets


def _hidden(tags: Tags) -> tuple[np.ndarray, np.ndarray]:
    """Begins and ends of what is no text: comments, scripts, and elements whose content the tree leaves out."""
    begins, ends = [-1], [0]
    comments = tags.beginning(_COMMENT)
    opening = np.flatnonzero((tags.short(_HIDING_NUMBERS) & ~tags.closing) | comments)
    closings: dict[int, list[int]] = {}
    for place, number, is_comment in zip(
        tags.starts[opening].tolist(), tags.names[opening, 0].tolist(), comments[opening].tolist(), strict=True
    ):
        if place < ends[-1]:
            continue
        if is_comment:
            end = tags.source.find(b"-->", place)
        else:
            if number not in closings:
                name = number.to_bytes(8, "little").rstrip(b"\0").decode()
                closings[number] = tags.starts[tags.beginning(name) & tags.closing].tolist()
            later = bisect_left(closings[number], place)
            end = closings[number][later] if later < len(closings[number]) else -1
        begins.append(place)
        ends.append(len(tags.source) if end < 0 else end)
    return np.array(begins), np.array(ends)
