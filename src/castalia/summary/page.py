"""One page of the corpus: its licence, what was extracted from it, what became of it stage by stage, and what extraction left out."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from castalia.errors import InputError
from castalia.records import Block, Document, LicenceDecision, Page, Reject
from castalia.web.archive import Archive
from castalia.web.urls import url_key
from castalia.web.worker import call_limited
from castalia.workspace import Workspace

_DOCUMENTS = ("documents", "documents_scrubbed", "documents_raw")
"""From the last stage to the first."""
_STAGES = ("normalize", "scrub", "deduplicate")


@dataclass(frozen=True)
class PageView:
    """A page as it is shown beside its extraction."""

    page: str
    """Id of the page."""
    url: str
    html: str
    """As received, decoded."""
    fetched_at: str
    licence: LicenceDecision
    document: Document | None
    """None for a page that gave no document."""
    fate: Sequence[tuple[str, str]]
    """(stage, what became of it there), in order."""
    left_out: Sequence[str]
    """Lines of the page that stand in no block."""


def view_page(workspace: Workspace, wanted: str) -> PageView:
    """The page of an id, of the id of a document made from it, or of a URL. Raises InputError where there is none."""
    if not workspace.store.has("pages"):
        raise InputError("no page was collected yet; `castalia run --until collect` or `castalia collect URL` does it")
    page, document = _find(workspace, wanted)
    return PageView(
        page.id,
        page.url,
        page.html,
        _fetched_at(workspace, page),
        page.licence,
        document,
        _fate(workspace, page, document),
        left_out(page, document.blocks if document else ()),
    )


def left_out(page: Page, blocks: Sequence[Block]) -> list[str]:
    """Visible lines of the page that stand in no block, whatever marks a block puts around its words."""
    kept = _letters(" ".join(block.text for block in blocks))
    lines = str(call_limited("castalia.stages.collect.lines:all_lines", page.html).value or "").split("\n")
    return [line for line in dict.fromkeys(lines) if _letters(line) and _letters(line) not in kept]


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()


def _find(workspace: Workspace, wanted: str) -> tuple[Page, Document | None]:
    """The page, and the latest document of it."""
    document = _document(workspace, wanted) if wanted.startswith(f"{Document.PREFIX}_") else None
    source = _source(workspace, document) if document else wanted
    for page in workspace.store.read_dataset("pages", Page):
        if page.id == source or (not source.startswith(f"{Page.PREFIX}_") and url_key(page.url) == url_key(source)):
            return page, document or _made_from(workspace, page)
    rejected = next((reject for reject in _rejects(workspace, "collect") if url_key(reject.subject) == url_key(wanted)), None)
    if rejected is not None:
        raise InputError(f"{wanted!r} was not kept by collect: {rejected.reason} ({rejected.detail}); only kept pages have an extraction")
    raise InputError(f"there is no page, document or URL {wanted!r} here; `castalia show pages` and `castalia show documents` list them")


def _document(workspace: Workspace, identity: str) -> Document:
    for dataset in _DOCUMENTS:
        for document in _documents(workspace, dataset):
            if document.id == identity:
                return document
    raise InputError(f"there is no document {identity!r}; `castalia show documents` lists them")


def _source(workspace: Workspace, document: Document) -> str:
    """Id of the page that a document was made from, through the stages between."""
    parent = next(iter(document.provenance.parents), "")
    return parent if parent.startswith(f"{Page.PREFIX}_") else _source(workspace, _document(workspace, parent))


def _made_from(workspace: Workspace, page: Page) -> Document | None:
    """The latest document of the page: each stage's is a child of the one before it."""
    known, latest = {page.id}, None
    for dataset in reversed(_DOCUMENTS):
        for document in _documents(workspace, dataset):
            if known.intersection({document.id, *document.provenance.parents}):
                known.add(document.id)
                latest = document
    return latest


def _fate(workspace: Workspace, page: Page, document: Document | None) -> list[tuple[str, str]]:
    fate = [("collect", "kept")]
    names = {page.url, page.id, *([document.id] if document else [])}
    for stage in _STAGES:
        if not workspace.store.has(f"{stage}.rejects"):
            break
        said = [reject for reject in _rejects(workspace, stage) if reject.subject in names or names.intersection(reject.provenance.parents)]
        fate.append((stage, f"rejected, {said[0].reason}: {said[0].detail}" if said else "kept"))
        if said:
            break
    return fate


def _fetched_at(workspace: Workspace, page: Page) -> str:
    if not (workspace.archive / "index.sqlite").is_file():
        return ""
    archive = Archive(workspace.archive, read_only=True)
    try:
        place = archive.place(page.body_sha256)
        return place.fetched_at if place else ""
    finally:
        archive.close()


def _documents(workspace: Workspace, dataset: str) -> Iterator[Document]:
    if workspace.store.has(dataset):
        yield from workspace.store.read_dataset(dataset, Document)


def _rejects(workspace: Workspace, stage: str) -> Iterator[Reject]:
    if workspace.store.has(f"{stage}.rejects"):
        yield from workspace.store.read_dataset(f"{stage}.rejects", Reject)
