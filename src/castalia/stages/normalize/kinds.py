"""Pages that are no content: search forms, alphabetical indexes, release notes."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from castalia.stages.normalize.segment import Draft

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


class Refusal(NamedTuple):
    """Why a page gives no document."""

    reason: str
    detail: str


def refuse(url: str, title: str, drafts: list[Draft], html: str) -> Refusal | None:
    """The reason why the page is no content, or None. `html` is only looked at for a search form."""
    words = sum(len(draft.text.split()) for draft in drafts)
    headings = [draft.text for draft in drafts if draft.kind == "heading"]
    named = [title, *(draft.text for draft in drafts if draft.kind == "heading" and draft.level == 1)]
    last = urlsplit(url).path.rstrip("/").rsplit("/", 1)[-1].rsplit(".", 1)[0]
    if words < 60 and (_SEARCH.search(last) or any(_SEARCH.search(name) for name in named)) and _SEARCH_FORM.search(html):
        return Refusal("search-page", f"{words} words beside a search form")
    if not words:
        return Refusal("no-content", "no visible text in the main content")
    length = sum(draft.length for draft in drafts)
    links = sum(draft.links for draft in drafts)
    letters = sum(1 for heading in headings if len(heading.strip()) == 1) + sum(
        heading.strip().lower() == "symbols" for heading in headings
    )
    density = links / max(1, length)
    if density > 0.7 and (letters >= 5 or links > 12_000):
        return Refusal("index-page", f"{density:.0%} of the text are links, {letters} headings are single letters")
    versions = sum(1 for heading in headings if _VERSION.match(heading))
    if versions >= 5 and versions >= 0.25 * len(headings) and (_CHANGES.search(last) or any(_CHANGES.search(name) for name in named)):
        return Refusal("changelog", f"{versions} of {len(headings)} headings are versions or dates")
    return None
