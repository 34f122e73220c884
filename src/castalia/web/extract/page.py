"""The whole way from HTML to typed blocks, as plain values: this is what runs in the limited worker."""

import re
from dataclasses import dataclass, field
from typing import Any

from castalia.records.document import Block
from castalia.web.extract.main_content import find_main
from castalia.web.extract.segment import Draft, segment
from castalia.web.extract.tree import parse
from castalia.web.prescan import prescan

_SITE_SUFFIX = re.compile(r"\s+(?:[—–|·•»]|-{1,2})\s+")


@dataclass(frozen=True)
class Extraction:
    """What a page gives. With a `problem` (a reason code, `detail` says more) there are no blocks."""

    problem: str = ""
    detail: str = ""
    title: str = ""
    head_title: str = ""
    language: str = ""
    blocks: tuple[Block, ...] = ()
    links: tuple[int, ...] = field(default=())
    """Characters of each block's text that are links."""
    lengths: tuple[int, ...] = field(default=())
    """Characters of each block's text."""


def extract(html: str | bytes, url: str = "") -> Extraction:
    """Typed blocks of the main content of `html`.

    Problems: `too-large`, `too-deep`, `too-many-tags`, `attribute-flood` for pages that no parser should see, `no-content`.
    """
    del url
    text = html.decode("utf-8", "replace") if isinstance(html, bytes) else html
    scan = prescan(text)
    if scan.problem:
        return Extraction(scan.problem, scan.detail)
    page = parse(text, scan.tags)
    drafts = _trim_links(segment(find_main(page.body)))
    if not any(draft.text.strip() for draft in drafts):
        return Extraction("no-content", "no visible text in the main content")
    heading = next((draft.text for draft in drafts if draft.kind == "heading" and draft.level == 1), "")
    return Extraction(
        title=heading or _SITE_SUFFIX.split(page.title)[0],
        head_title=page.title,
        language=page.language,
        blocks=tuple(
            Block(
                number=number,
                kind=draft.kind,  # pyright: ignore[reportArgumentType]
                text=draft.text,
                level=draft.level,
                language=draft.language,
                rows=draft.rows,
                header_rows=draft.header_rows,
                source_offset=draft.offset,
            )
            for number, draft in enumerate(drafts)
        ),
        links=tuple(draft.links for draft in drafts),
        lengths=tuple(draft.length for draft in drafts),
    )


def extract_json(html: str, url: str) -> dict[str, Any]:
    """`extract` as JSON-able values, for the limited worker."""
    found = extract(html, url)
    return {
        "problem": found.problem,
        "detail": found.detail,
        "title": found.title,
        "head_title": found.head_title,
        "language": found.language,
        "blocks": [block.model_dump(mode="json") for block in found.blocks],
        "links": found.links,
        "lengths": found.lengths,
    }


def _trim_links(drafts: list[Draft]) -> list[Draft]:
    """Drops blocks of nothing but links before the first and after the last text, unless links are all there is."""
    real = [place for place, draft in enumerate(drafts) if draft.kind == "code" or draft.length - draft.links > 0.2 * max(1, draft.length)]
    if not real or sum(draft.links for draft in drafts) > 0.5 * max(1, sum(draft.length for draft in drafts)):
        return drafts
    return drafts[real[0] : real[-1] + 1]
