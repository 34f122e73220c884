"""The whole way from HTML to blocks, as plain values: this is what runs in the limited worker."""

import re
from typing import Any

from castalia.stages.normalize.kinds import refuse
from castalia.stages.normalize.main_content import find_main
from castalia.stages.normalize.segment import Draft, segment
from castalia.stages.normalize.tree import parse
from castalia.web.prescan import prescan

_SITE_SUFFIX = re.compile(r"\s+(?:[—–|·•»]|-{1,2})\s+")


def extract(html: str, url: str) -> dict[str, Any]:
    """Title, language and blocks of a page, or `reason` and `detail` why it gives none. JSON-able."""
    scan = prescan(html)
    if scan.problem:
        return {"reason": scan.problem, "detail": scan.detail}
    page = parse(html, scan.tags)
    drafts = _trim_links(segment(find_main(page.body)))
    refusal = refuse(url, page.title, drafts, html)
    if refusal is not None:
        return {"reason": refusal.reason, "detail": refusal.detail}
    heading = next((draft.text for draft in drafts if draft.kind == "heading" and draft.level == 1), "")
    return {
        "title": heading or _SITE_SUFFIX.split(page.title)[0],
        "language": page.language,
        "blocks": [
            {
                "number": number,
                "kind": draft.kind,
                "text": draft.text,
                "level": draft.level,
                "language": draft.language,
                "rows": draft.rows,
                "header_rows": draft.header_rows,
                "source_offset": draft.offset,
            }
            for number, draft in enumerate(drafts)
        ],
    }


def _trim_links(drafts: list[Draft]) -> list[Draft]:
    """Drops blocks of nothing but links before the first and after the last text, unless links are all there is."""
    real = [place for place, draft in enumerate(drafts) if draft.kind == "code" or draft.length - draft.links > 0.2 * max(1, draft.length)]
    if not real or sum(draft.links for draft in drafts) > 0.5 * max(1, sum(draft.length for draft in drafts)):
        return drafts
    return drafts[real[0] : real[-1] + 1]
