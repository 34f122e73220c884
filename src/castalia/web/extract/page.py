"""The whole way from HTML to typed blocks, as plain values: this is what runs in the limited worker."""

import gc
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from castalia.records.document import Block
from castalia.web.extract.language import detect_language
from castalia.web.extract.meta import Metadata, read_metadata
from castalia.web.extract.offsets import source_offsets
from castalia.web.extract.segment import Draft, segment
from castalia.web.extract.select import select
from castalia.web.extract.tree import Parsed, parse
from castalia.web.prescan import prescan
from castalia.web.tags import Tags

_SITE_SUFFIX = re.compile(r"\s+(?:[—–|·•»]|-{1,2})\s+")
_TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True)
class Extraction:
    """What a page gives. With a `problem` (a reason code, `detail` says more) there are no blocks."""

    problem: str = ""
    detail: str = ""
    title: str = ""
    metadata: Metadata = field(default_factory=Metadata)
    language: str = ""
    """BCP 47, stated or told from the text; empty where unknown."""
    blocks: tuple[Block, ...] = ()
    length: int = 0
    """Characters of text from the first to the last unit of main content, what was dropped between them included."""
    linked: int = 0
    """How many of them stand in links."""


def extract(html: str | bytes, url: str = "") -> Extraction:
    """Typed blocks of the main content of `html`.

    Problems: `too-large`, `too-deep`, `too-many-tags`, `attribute-flood` for pages that no parser should see, `no-content`. A page may
    still keep the parser busy for long: what comes from outside belongs in `castalia.web.worker.call_limited`.
    """
    del url
    with _collector_at_rest():
        return _extract(html)


def _extract(html: str | bytes) -> Extraction:
    text = html.decode("utf-8", "replace") if isinstance(html, bytes) else html
    scan = prescan(text)
    if scan.problem:
        return Extraction(scan.problem, scan.detail)
    page = parse(text)
    try:
        return _read(text, page, scan.tags)
    finally:
        page.release()


@contextmanager
def _collector_at_rest() -> Generator[None]:
    """A tree of a thousand elements is all that lives here, so looking for garbage among them finds none and takes a sixth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read(text: str, page: Parsed, tags: Tags | None) -> Extraction:
    if page.too_deep:
        return Extraction("too-deep", "elements are nested too deep once the parser has repaired the page")
    metadata = read_metadata(text)
    spanned = select(page, metadata.title)
    drafts = segment(page.body)
    if not any(draft.text.strip() for draft in drafts):
        drafts = _stated(metadata)
    if not drafts:
        return Extraction("no-content", "no visible text in the main content", metadata=metadata)
    standing_in = {draft.source.tag for draft in drafts if draft.source is not None}
    offsets = source_offsets(tags, standing_in, page.counts) if tags is not None else {}
    heading = next((draft.text for draft in drafts if draft.kind == "heading" and draft.level == 1), "")
    return Extraction(
        title=heading or _SITE_SUFFIX.split(metadata.title)[0],
        metadata=metadata,
        language=metadata.language or detect_language(" ".join(draft.text for draft in drafts if draft.kind != "code")),
        blocks=tuple(_block(number, draft, offsets) for number, draft in enumerate(drafts)),
        length=sum(sum(map(len, unit.texts)) for unit in spanned),
        linked=sum(unit.linked for unit in spanned),
    )


def extract_json(html: str, url: str) -> dict[str, Any]:
    """`extract` as JSON-able values, for the limited worker."""
    found = extract(html, url)
    return {
        "problem": found.problem,
        "detail": found.detail,
        "title": found.title,
        "head_title": found.metadata.title,
        "author": found.metadata.author,
        "published": found.metadata.published,
        "modified": found.metadata.modified,
        "language": found.language,
        "blocks": [block.model_dump(mode="json") for block in found.blocks],
        "length": found.length,
        "linked": found.linked,
    }


def visible_page(html: str) -> Parsed:
    """The tree that `extract` selects from, for those who fit the model."""
    return parse(html)


def _stated(metadata: Metadata) -> list[Draft]:
    """Paragraphs from what an empty page says about itself: pages that only scripts fill often carry their text as data."""
    bodies = metadata.bodies or ((metadata.description,) if metadata.description else ())
    drafts = [Draft("heading", metadata.title, level=1)] if metadata.title and bodies else []
    for body in bodies:
        for part in re.split(r"\n\s*\n", _TAG.sub(" ", body)):
            if text := " ".join(part.split()):
                drafts.append(Draft("paragraph", text))
    return drafts


def _block(number: int, draft: Draft, offsets: dict[str, list[int]]) -> Block:
    source = draft.source
    places = offsets.get(source.tag) if source is not None else None
    return Block(
        number=number,
        kind=draft.kind,  # pyright: ignore[reportArgumentType]
        text=draft.text,
        level=draft.level,
        language=draft.language,
        rows=draft.rows,
        header_rows=draft.header_rows,
        source_offset=places[source.ordinal] if places and source is not None and 0 <= source.ordinal < len(places) else -1,
    )
