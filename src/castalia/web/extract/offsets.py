"""Where blocks stand in the source: the n-th `<pre>` of the parser's tree is the n-th `<pre` of the source.

That holds for every tag of which both have equally many; for the others a page's source was repaired, and nothing is said.
"""

import re
from collections import defaultdict
from collections.abc import Mapping

_HIDING = "!--|script|style|noscript|template|svg|textarea|iframe|title|object|video|audio|canvas|select|button|noembed|noframes"
_START = re.compile(
    rf"<({_HIDING}|p|h[1-6]|pre|table|ul|ol|dl|dt|dd|li|div|section|article|main|blockquote|figure|img|td|th|span|center|details|caption)"
    r"(?=[\s/>]|(?<=--))",
    re.IGNORECASE,
)
_HIDES = frozenset(_HIDING.split("|"))


def source_offsets(html: str, counts: Mapping[str, int]) -> dict[str, list[int]]:
    """Character offsets of all start tags by name, where there are `counts` of them."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    lower = html.replace("\u0130", "I").lower()  # the only character that gets longer in lower case
    shown_from = 0
    for match in _START.finditer(lower):
        start = match.start()
        if start < shown_from:
            continue
        name = match[1]
        if name in _HIDES:
            end = lower.find("-->" if name == "!--" else f"</{name}", start)
            shown_from = len(html) if end < 0 else end
        else:
            found[name].append(start)
    return {name: places for name, places in found.items() if len(places) == counts.get(name)}
