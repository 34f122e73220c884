"""A page becomes a document, or a reject that says why not."""

from collections.abc import Iterator

from castalia.engine.stage import Params
from castalia.records import Block, Document, Page, Provenance, Reject
from castalia.stages.normalize.kinds import refuse
from castalia.web.worker import call_limited

PARSE_SECONDS = 4.0


class NormalizeParams(Params):
    """Nothing to choose: the rules are the same for every site."""


def normalize_page(page: Page, params: NormalizeParams) -> Iterator[Document | Reject]:
    """Typed blocks of the page's main content.

    Code under a licence of its own that the policy does not allow is left out of the document, with a reject `code-licence`.
    Reject reasons of pages: `no-content`, `search-page`, `index-page`, `changelog`; for pages that no parser should see
    `too-large`, `too-deep`, `too-many-tags`, `attribute-flood`; and `parse-timeout`, `parser-died`, `parse-failed`.
    """
    del params
    outcome = call_limited("castalia.web.extract.page:extract_json", page.html, page.url, seconds=PARSE_SECONDS)
    found = outcome.value
    if outcome.problem or found["problem"]:
        problem, detail = (outcome.problem, outcome.detail) if outcome.problem else (found["problem"], found["detail"])
        yield _reject(page, problem, detail)
        return
    blocks = tuple(Block.model_validate(block) for block in found["blocks"])
    refusal = refuse(page.url, found["head_title"], blocks, found["linked"], found["length"], page.html)
    if refusal is not None:
        yield _reject(page, refusal.reason, refusal.detail)
        return
    withheld = {part.scope: part.spdx for part in page.licence.parts if not part.allowed}
    kept = [block for block in blocks if block.kind not in withheld]
    if len(kept) < len(blocks):
        detail = (
            f"{len(blocks) - len(kept)} code blocks are under {withheld.get('code')}, which the policy does not allow; the text was kept"
        )
        yield _reject(page, "code-licence", detail)
        blocks = tuple(block.model_copy(update={"number": number}) for number, block in enumerate(kept))
    yield Document(
        url=page.url,
        title=found["title"],
        language=found["language"],
        author=found["author"],
        published=found["published"],
        modified=found["modified"],
        blocks=blocks,
        licence=page.licence,
        topic=page.topic,
        provenance=Provenance(parents=(page.id,)),
    )


def _reject(page: Page, reason: str, detail: str) -> Reject:
    return Reject(stage="normalize", subject=page.url, reason=reason, detail=detail, provenance=Provenance(parents=(page.id,)))
