# pyright: basic
"""What a page says beside its text: links, canonical URL, opt-outs, licence statements. Runs in the limited worker."""

from typing import Any

from selectolax.lexbor import LexborHTMLParser

from castalia.web.licences.statements import read_statements
from castalia.web.prescan import prescan

_MAX_LINKS = 5_000


def read_facts(html: str) -> dict[str, Any]:
    """Facts of a page as plain values, or `problem` and `detail` for a page that no parser should see.

    Licence statements are those of `castalia.web.licences.statements`.
    """
    scan = prescan(html)
    if scan.problem:
        return {"problem": scan.problem, "detail": scan.detail}
    tree = LexborHTMLParser(html)
    title = tree.css_first("title")
    heading = tree.css_first("h1")
    base = tree.css_first("base[href]")
    canonical = tree.css_first('link[rel~="canonical"][href]')
    metas: dict[str, str] = {}
    for node in tree.css("meta[content]"):
        name = (node.attributes.get("name") or node.attributes.get("property") or "").strip().lower()
        said = node.attributes.get("content") or ""
        # Robots and opt-outs may be said in several elements, and all of them hold.
        metas[name] = f"{metas[name]}, {said}" if name in metas else said
    statements = read_statements(tree)
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
        "licences": statements,
    }


def _flat(text: str) -> str:
    return " ".join(text.split())
