# pyright: basic
"""What a page says beside its text: links, canonical URL, opt-outs, licence statements. Runs in the limited worker."""

import json
import re
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode

from castalia.web.prescan import prescan

_MAX_LINKS = 5_000
_MAX_SENTENCE = 300
_LICENCE_LINK = re.compile(
    r"creativecommons\.org/(?:licenses|publicdomain)/|opensource\.org/licen[cs]es?/|apache\.org/licenses/|gnu\.org/(?:licenses|copyleft)/|"
    r"mozilla\.org/(?:en-US/)?MPL/|spdx\.org/licenses/|opendatacommons\.org/licenses/|unlicense\.org",
    re.IGNORECASE,
)
_STATEMENT = re.compile(
    r"[^.\n]{0,160}\b(?:licen[cs]ed under|under the terms of|released under|available under|distributed under|all rights reserved)"
    r"\b[^\n]{0,140}",
    re.IGNORECASE,
)
_FIGURE = frozenset(["figure", "figcaption", "picture", "video", "audio"])


def read_facts(html: str) -> dict[str, Any]:
    """Facts of a page as plain values, or `problem` and `detail` for a page that no parser should see.

    Licence statements are `[place, scope, href or name, sentence]`; the scope is what the place alone says.
    """
    scan = prescan(html)
    if scan.problem:
        return {"problem": scan.problem, "detail": scan.detail}
    tree = LexborHTMLParser(html)
    title = tree.css_first("title")
    heading = tree.css_first("h1")
    base = tree.css_first("base[href]")
    canonical = tree.css_first('link[rel~="canonical"][href]')
    metas = {
        (node.attributes.get("name") or node.attributes.get("property") or "").lower(): node.attributes.get("content") or ""
        for node in tree.css("meta[content]")[:500]
    }
    statements = [*_links(tree), *_metas(metas), *_json_ld(tree), *_footers(tree)]
    for node in tree.css("script, style, noscript, template"):
        node.decompose()
    text = tree.body.text(separator=" ") if tree.body else ""
    return {
        "title": _flat(title.text()) if title else "",
        "heading": _flat(heading.text()) if heading else "",
        "headings": [_flat(node.text())[:200] for node in tree.css("h1, h2, h3")[:200]],
        "base": (base.attributes.get("href") or "") if base else "",
        "canonical": (canonical.attributes.get("href") or "") if canonical else "",
        "metas": metas,
        "links": [href for node in tree.css("a[href]")[:_MAX_LINKS] if (href := node.attributes.get("href"))],
        "text": _flat(text)[:400_000],
        "licences": statements[:50],
    }


def _links(tree: LexborHTMLParser) -> list[list[str]]:
    found: list[list[str]] = []
    for node in tree.css("a[href], link[href]")[: 2 * _MAX_LINKS]:
        href = node.attributes.get("href") or ""
        is_rel = "license" in (node.attributes.get("rel") or "").lower().split()
        if not is_rel and (node.tag == "link" or not _LICENCE_LINK.search(href)):
            continue
        place, scope = _stands(node)
        sentence = "" if node.tag == "link" else _around(node)
        if is_rel and scope != "image":
            place, scope = "rel-license", "page"
        found.append([place, scope, href[:300], sentence])
    return found


def _metas(metas: dict[str, str]) -> list[list[str]]:
    names = ("license", "licence", "dcterms.license", "dcterms.rights", "dc.rights", "dc.license", "copyright", "rights")
    return [["meta", "page", metas[name][:300], metas[name][:_MAX_SENTENCE]] for name in names if metas.get(name)]


def _json_ld(tree: LexborHTMLParser) -> list[list[str]]:
    found: list[list[str]] = []
    for script in tree.css('script[type="application/ld+json"]')[:20]:
        try:
            stack: list[Any] = [json.loads(script.text())]
        except (ValueError, RecursionError):
            continue  # a page may carry broken JSON-LD: it then says nothing
        while stack and len(found) < 20:
            value = stack.pop()
            if isinstance(value, list):
                stack.extend(value[:200])
            elif isinstance(value, dict):
                kinds = value.get("@type", "")
                kind = " ".join(map(str, kinds)) if isinstance(kinds, list) else str(kinds)
                licence = value.get("license")
                licence = licence.get("@id", licence.get("url", "")) if isinstance(licence, dict) else licence
                if isinstance(licence, str) and licence:
                    found.append(["json-ld", _scope_of_kind(kind), licence[:300], f"{kind} license {licence}"[:_MAX_SENTENCE]])
                stack.extend(item for item in value.values() if isinstance(item, dict | list))
    return found


def _scope_of_kind(kind: str) -> str:
    if re.search(r"Image|Photo|Video|Audio|Media", kind):
        return "image"
    if re.search(r"SoftwareSourceCode|Dataset", kind):
        return "code"
    return "page" if re.search(r"Page|Article|Posting|CreativeWork|Course|HowTo|Book", kind) else "embedded"


def _footers(tree: LexborHTMLParser) -> list[list[str]]:
    found: list[list[str]] = []
    for node in tree.css('footer, [role="contentinfo"], [class*="footer"], [id*="footer"], [class*="copyright"], [id*="copyright"]')[:20]:
        text = _flat(node.text(separator=" "))[:5_000]
        found.extend(["footer", "page", "", match[0].strip()[:_MAX_SENTENCE]] for match in _STATEMENT.finditer(text))
    return found


def _stands(node: LexborNode) -> tuple[str, str]:
    """Place and the scope that follows from it."""
    above = node.parent
    while above is not None and above.tag not in (None, "body", "-document"):
        names = f"{above.attributes.get('class') or ''} {above.attributes.get('id') or ''}".lower()
        if above.tag in _FIGURE or "caption" in names or "map" in names.split():
            return "caption", "image"
        if above.tag == "footer" or "footer" in names or "copyright" in names or above.attributes.get("role") == "contentinfo":
            return "footer", "page"
        above = above.parent
    return "article", "embedded"


def _around(node: LexborNode) -> str:
    """The sentence the link stands in, taken from the nearest element with enough words."""
    above: LexborNode | None = node
    for _ in range(4):
        if above is None or len(_flat(above.text(separator=" ")).split()) >= 6:
            break
        above = above.parent
    text = _flat((above or node).text(separator=" "))
    place = max(0, text.find(_flat(node.text())))
    start = max(text.rfind(". ", 0, place) + 1, place - 150, 0)
    return text[start : start + _MAX_SENTENCE].strip()


def _flat(text: str) -> str:
    return " ".join(text.split())
