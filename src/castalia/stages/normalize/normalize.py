"""A page becomes a document, or a reject that says why not."""

from collections.abc import Iterator

from castalia.engine.stage import Params
from castalia.records import Block, Document, Page, Provenance, Reject
from castalia.web.prescan import prescan
from castalia.web.worker import call_limited

PARSE_SECONDS = 4.0


class NormalizeParams(Params):
    """Nothing to choose: the rules are the same for every site."""


def normalize_page(page: Page, params: NormalizeParams) -> Iterator[Document | Reject]:
    """Typed blocks of the page's main content.

    Reject reasons: `no-content`, `search-page`, `index-page`, `changelog`; for pages that no parser should see
    `too-large`, `too-deep`, `too-many-tags`, `attribute-flood`; and `parse-timeout`, `parser-died`, `parse-failed`.
    """
    del params
    scan = prescan(page.html)
    if scan.problem:
        yield _reject(page, scan.problem, scan.detail)
        return
    outcome = call_limited("castalia.stages.normalize.extract:extract", page.html, page.url, seconds=PARSE_SECONDS)
    if outcome.problem:
        yield _reject(page, outcome.problem, outcome.detail)
        return
    found = outcome.value
    if "reason" in found:
        yield _reject(page, found["reason"], found["detail"])
        return
    yield Document(
        url=page.url,
        title=found["title"],
        language=found["language"],
        blocks=tuple(Block.model_validate(block) for block in found["blocks"]),
        licence=page.licence,
        topic=page.topic,
        provenance=Provenance(parents=(page.id,)),
    )


def _reject(page: Page, reason: str, detail: str) -> Reject:
    return Reject(stage="normalize", subject=page.url, reason=reason, detail=detail, provenance=Provenance(parents=(page.id,)))
