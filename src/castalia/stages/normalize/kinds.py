"""Pages that are no content: search forms, alphabetical indexes, release notes."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from castalia.records import Block

_SEARCH = re.compile(r"\bsearch\b|\bfind results\b", re.IGNORECASE)
_SEARCH_FORM = re.compile(
    r"""id=["']?search-results|type=["']?search\b|role=["']?search\b|class=["'][^"'<>]{0,200}\bsearch""", re.IGNORECASE
)
_CHANGES = re.compile(
    r"\b(?:change[- _]?logs?|changes|release[- _]?notes|release[- _]history|version[- _]history|history|what.?s[- _]new|news)\b",
    re.IGNORECASE,
)
_VERSION = re.compile(
    r"^\W*(?:[A-Za-z][\w.-]*\s+)?(?:version|release|v)?\s*\(?\d+\.\d+[\w.+-]*|^\W*\[?\d+\.\d+(?:\.\d+)*\]?|^\W*\d{4}-\d{2}-\d{2}\b",
    re.IGNORECASE,
)
_SECTION = re.compile(
    r"^\W*\d+(?:\.\d+)*\.?\s+(?!(?:un)?released?\b|alpha|beta|rc\b|final|jan|feb|mar|apr|may\b|jun|jul|aug|sep|oct|nov|dec)[^\W\d]",
    re.IGNORECASE,
)
"""A number and a title: the sections of a manual."""


class Refusal(NamedTuple):
    """Why a page gives no document."""

    reason: str
    detail: str


def refuse(url: str, title: str, blocks: Sequence[Block], linked: int, length: int, html: str) -> Refusal | None:
    """The reason why the page is no content, or None.

    `linked` of `length` characters stand in links; `html` is only looked at for a search form.
    """
    words = sum(len(block.text.split()) for block in blocks)
    headings = [block.text for block in blocks if block.kind == "heading"]
    named = [title, *[block.text for block in blocks if block.kind == "heading" and block.level == 1][:1]]
    last = urlsplit(url).path.rstrip("/").rsplit("/", 1)[-1].rsplit(".", 1)[0]
    if words < 60 and (_SEARCH.search(last) or any(_SEARCH.search(name) for name in named)) and _SEARCH_FORM.search(html):
        return Refusal("search-page", f"{words} words beside a search form")
    if not words:
        return Refusal("no-content", "no visible text in the main content")
    letters = sum(1 for heading in headings if len(heading.strip()) == 1) + sum(
        heading.strip().lower() == "symbols" for heading in headings
    )
    density = linked / max(1, length)
    if density > 0.7 and (letters >= 5 or linked > 12_000):
        return Refusal("index-page", f"{density:.0%} of the text are links, {letters} headings are single letters")
    versions = sum(1 for heading in headings if _VERSION.match(heading) and not _SECTION.match(heading))
    if versions >= 5 and versions >= 0.25 * len(headings) and (_CHANGES.search(last) or any(_CHANGES.search(name) for name in named)):
        return Refusal("changelog", f"{versions} of {len(headings)} headings are versions or dates")
    return None
