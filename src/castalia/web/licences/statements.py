# pyright: basic
"""Where a page speaks of licences: blocks of text with their links, and what its markup says for machines. Runs in the limited worker.

A statement says what stood where; what it means is read later (`evidence.py`). It is a dict of plain values: `place`, `text`, `links`
(`[address, start, end, is rel=license]`, offsets into `text`), `marks` (what surrounds the block: `hidden`, `code`, `quote`, `comment`,
`media`, `control`, `item`, `aside`, `heading`), and for markup `scope` and `link`.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode

from castalia.web.licences.names import licence_of_url
from castalia.web.prescan import word_set

Statement = dict[str, Any]

_MOST = 120
_LONGEST = 1_200
_BESIDE_PICTURES = 300
_LONGEST_LABEL = 60
_KEY = re.compile(
    r"licen[cs]|lizen|creative\s+commons|\bCC[\s-]*(?:BY|0|zero)\b|public[ -]domain|rights\s+(?:are\s+)?reserved|\bG?FDL\b|\bA?GPL|"
    r"copyleft|"
    r"permission|may not be|vorbehalten|droits r|derechos r|copyrighted|subject to copyright|waived all",
    re.IGNORECASE,
)
_HINTS = (
    *(
        "licen",
        "lizen",
        "commons",
        "cc",
        "domain",
        "reserved",
        "fdl",
        "gpl",
        "copyleft",
        "permission",
        "may not",
        "vorbehalten",
        "droits",
        "derechos",
    ),
    *("copyrighted", "subject to copyright", "waived"),
)
"""One of these stands in whatever `_KEY` finds: looking for them first is many times faster."""
_LINK_KEY = re.compile(r"licen[cs]|creativecommons|copyleft|publicdomain|opendatacommons|wtfpl|artlibre|mozilla\.org/.*mpl", re.IGNORECASE)
_INLINE = word_set(
    "a abbr acronym b bdi bdo big cite data em font i img ins kbd label mark q s small span strong sub sup time tt u var wbr"
)
_CODE = word_set("pre code samp kbd textarea xmp")
_UNSEEN = word_set("svg math script style template noscript head select option datalist object")
_RAW = word_set("script style")
_MEDIA_TAGS = word_set("figure figcaption picture video audio iframe caption map")
_MEDIA_NAMES = re.compile(
    r"caption|credits?\b|leaflet|mapbox|photo-?by|image-?(?:source|author)|\bmap\b|gallery|player|podcast|thumbnail", re.IGNORECASE
)
_COMMENT_NAMES = re.compile(
    r"(?:^|[\s_-])(?:comments?|commentlist|reply|replies|disqus\w*|user-?reviews?|signature|guestbook)(?:$|[\s_-])", re.IGNORECASE
)
_FOOTER_NAMES = re.compile(
    r"footer|\bfoot\b|copyright|colophon|copyleft|site-?info|imprint|(?:^|[\s_-])(?:licen[cs]e|legal|cc|creative-?commons)(?:$|[\s_-])",
    re.IGNORECASE,
)
_ASIDE_NAMES = re.compile(r"sidebar|side-?bar|widget|related|recommend|teaser|promo", re.IGNORECASE)
_ITEM_NAMES = re.compile(r"(?:^|[\s_-])(?:cards?|results?|listing|product|item|entry-?list|search)(?:$|[\s_-])", re.IGNORECASE)
_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0(?:\.0+)?\s*(?:;|!|$)|font-size\s*:\s*0(?:\.\d+)?(?:px|em|rem|"
    r"%|pt)?\s*(?:;|!|$)|"
    r"(?:left|top|right|text-indent|margin-left|margin-top)\s*:\s*-\s*\d{3,}|clip\s*:\s*rect\(\s*0|(?:^|[\s;])(?:height|"
    r"width)\s*:\s*[01](?:px)?\s*(?:;|!|$)",
    re.IGNORECASE,
)
_META = word_set(
    "license licence dc.license dc.rights dc.rights.license dcterms.license dcterms.rights dcterms.rightsholder rights copyright "
    "dct:license "
    "dct:rights dcterms:license cc:license og:license article:license citation_license prism.copyright rights-standard"
)
_PROPERTIES = word_set(
    "license cc:license dct:license dcterms:license dc:license xhv:license schema:license dc:rights dct:rights dcterms:rights"
)
_ABOUT_PAGES = re.compile(
    r"Page|Article|Posting|CreativeWork|Course|HowTo|Book|Report|Recipe|Chapter|Thesis|LearningResource|Guide|WebSite|Blog\b|Question"
)
_OF_OTHERS = word_set(
    "image images video audio associatedmedia encoding thumbnail logo haspart isbasedon citation mentions about itemlistelement "
    "mainentityofpage "
    "author publisher creator comment workexample review isrelatedto offers distribution primaryimageofpage subjectof relatedlink "
    "itemreviewed"
) - {"mainentityofpage"}


def read_statements(tree: LexborHTMLParser) -> list[Statement]:
    """Statements of a page, those of its markup first; at most 120."""
    found = [*_head_links(tree), *_metas(tree), *_json_ld(tree)]
    seen: set[int] = set()
    opened = _openable(tree)
    for node in _speaking(tree):
        block = _block(node)
        if block.mem_id not in seen:
            seen.add(block.mem_id)
            found.extend(_of_block(block, node, opened))
        if len(found) >= _MOST:
            break
    return found[:_MOST]


def _speaking(tree: LexborHTMLParser) -> Iterator[LexborNode]:
    """Elements that link to a licence or say so in their markup, then texts that may speak of one."""
    if tree.body is None:
        return
    yield from tree.css("[itemprop~=license], [rel~=license], [property*=license], [rel*=license], [property*=rights]")[:_MOST]
    for node in tree.css("a[href]")[:10_000]:
        href = node.attributes.get("href") or ""
        if _LINK_KEY.search(href) and licence_of_url(href):
            yield node
    for node in tree.body.traverse(include_text=True):
        if node.tag == "-text" and node.parent is not None and node.parent.tag not in _RAW:
            words = (node.text_content or "").lower()
            if any(hint in words for hint in _HINTS) and _KEY.search(words):
                yield node.parent


def _block(node: LexborNode) -> LexborNode:
    """The nearest element that makes a paragraph of its own."""
    above = node
    while above.tag in _INLINE and above.parent is not None and above.parent.tag not in ("body", "html", "-document"):
        above = above.parent
    return above


def _openable(tree: LexborHTMLParser) -> frozenset[str]:
    """Ids of the parts that a control of the page shows and hides: what stands there is not hidden from readers."""
    names: set[str] = set()
    for node in tree.css("[aria-controls], [data-target], [data-bs-target]")[:500]:
        for attribute in ("aria-controls", "data-target", "data-bs-target"):
            names.update((node.attributes.get(attribute) or "").replace("#", "").split())
    return frozenset(names)


def _of_block(block: LexborNode, node: LexborNode, opened: frozenset[str]) -> Iterator[Statement]:
    marks, place = _surroundings(node, opened)
    text, links = _text_and_links(block)
    scope, link = _markup_scope(node)
    if link:
        yield {"place": "rdfa", "text": text[:_LONGEST], "links": [], "marks": marks, "scope": scope, "link": link}
    if scope == "image" and "media" not in marks:
        marks = [*marks, "media"]
    for badge in _badges(block):
        yield {"place": "badge" if place == "article" else place, "text": "", "links": [badge], "marks": marks}
    label = _label(block)
    for start, end in _windows(text, links):
        inside = [
            [href, max(0, first - start), min(last, end) - start, is_rel]
            for href, first, last, is_rel in links
            if first <= end and last >= start
        ]
        yield {"place": place, "text": text[start:end], "links": inside, "marks": marks, "label": label}


def _label(block: LexborNode) -> str:
    """Short words right before a block: its heading, the term that it defines."""
    before = block.prev
    while before is not None and before.tag == "-text" and not (before.text_content or "").strip():
        before = before.prev
    if before is None or before.tag in _UNSEEN or before.tag == "p":
        return ""
    words = " ".join(before.text().split()) if before.tag != "-text" else " ".join((before.text_content or "").split())
    return words if len(words) < _LONGEST_LABEL else ""


def _badges(block: LexborNode) -> Iterator[list[Any]]:
    """Links to licences that hold a picture and no words, unless they stand beside another picture, which they then license."""
    nodes = [block] if block.tag == "a" else block.css("a[href]")[:200]
    for node in nodes:
        href = node.attributes.get("href") or ""
        if (
            _LINK_KEY.search(href)
            and licence_of_url(href)
            and not re.search(r"\w", _text_and_links(node)[0])
            and node.css_first("img, svg") is not None
        ):
            around = _block(node)
            pictures = len(around.css("img, picture")) - len(node.css("img, picture"))
            if not pictures or len(around.text()) > _BESIDE_PICTURES:
                yield [href[:300], 0, 0, "license" in (node.attributes.get("rel") or "").lower().split()]


def _windows(text: str, links: list[list[Any]]) -> Iterator[tuple[int, int]]:
    """Parts of a long text around what it says of licences; all of a short one."""
    if len(text) <= _LONGEST:
        yield 0, len(text)
        return
    last = -1
    places = sorted([*(found.start() for found in _KEY.finditer(text)), *(first for href, first, *_ in links if licence_of_url(href))])
    for place in places[:20]:
        if place > last:
            last = min(len(text), place + _LONGEST // 2)
            yield max(0, place - _LONGEST // 2), last


def _text_and_links(block: LexborNode) -> tuple[str, list[list[Any]]]:
    """The block's visible text with one space for each gap and a newline for each line, and its links."""
    pieces: list[str] = []
    links: list[list[Any]] = []
    length = 0

    def add(piece: str) -> None:
        nonlocal length
        if pieces and (piece[:1].isspace() or pieces[-1][-1:].isspace()):
            piece = piece.lstrip() if pieces[-1][-1:].isspace() else piece
        if piece:
            pieces.append(piece)
            length += len(piece)

    def walk(node: LexborNode, depth: int) -> None:
        for child in node.iter(include_text=True):
            if length > 20_000 or depth > 60:
                return
            if child.tag == "-text":
                words = child.text_content or ""
                flat = " ".join(words.split())
                if flat:
                    add(f"{' ' if words[:1].isspace() else ''}{flat}{' ' if words[-1:].isspace() else ''}")
                elif words:
                    add(" ")
                continue
            attributes = child.attributes
            if child.tag in _UNSEEN or child.tag in _CODE or _is_hidden(child):
                continue
            if child.tag == "br" or child.tag not in _INLINE:
                add("\n")
            start = length
            walk(child, depth + 1)
            if child.tag == "a" and attributes.get("href") and (length > start or child.css_first("img, svg") is None):
                links.append([(attributes["href"] or "")[:300], start, length, "license" in (attributes.get("rel") or "").lower().split()])
            if child.tag not in _INLINE:
                add("\n")

    if block.tag == "a" and block.attributes.get("href"):
        walk(block, 0)
        links.append([(block.attributes["href"] or "")[:300], 0, length, "license" in (block.attributes.get("rel") or "").lower().split()])
    else:
        walk(block, 0)
    return "".join(pieces), links


def _surroundings(node: LexborNode, opened: frozenset[str]) -> tuple[list[str], str]:
    """What stands around an element, and the place that follows from it."""
    marks: set[str] = set()
    place = "article"
    above: LexborNode | None = node
    while above is not None and above.tag not in ("-document", "html"):
        tag, attributes = above.tag or "", above.attributes
        names = f"{attributes.get('class') or ''} {attributes.get('id') or ''}" if tag != "body" else ""
        if tag in _UNSEEN or (_is_hidden(above) and attributes.get("id") not in opened):
            marks.add("hidden")
        if tag in _CODE:
            marks.add("code")
        if tag in ("blockquote", "q"):
            marks.add("quote")
        if tag in _MEDIA_TAGS or (names and _MEDIA_NAMES.search(names) and place != "footer"):
            marks.add("media")
        if tag in ("button", "select", "label", "fieldset"):
            marks.add("control")
        if tag in ("td", "th", "table", "dd", "dt") or (names and _ITEM_NAMES.search(names)):
            marks.add("item")
        if names and _COMMENT_NAMES.search(names):
            marks.add("comment")
        if tag in ("aside", "nav") or (names and _ASIDE_NAMES.search(names)):
            marks.add("aside")
        if tag == "footer" or attributes.get("role") == "contentinfo" or (names and _FOOTER_NAMES.search(names)):
            place = "footer"
        above = above.parent
    return sorted(marks), place


def _is_hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    return ("hidden" in attributes and attributes["hidden"] != "until-found") or bool(_HIDING.search(attributes.get("style") or ""))


def _markup_scope(node: LexborNode) -> tuple[str, str]:
    """Scope by RDFa and microdata around an element, and the licence that its own markup names beyond a plain link."""
    attributes = node.attributes
    names = f"{attributes.get('rel') or ''} {attributes.get('property') or ''} {attributes.get('itemprop') or ''}".lower().split()
    says = bool(_PROPERTIES.intersection(names)) and "license" not in (attributes.get("rel") or "").lower().split()
    link = (attributes.get("resource") or attributes.get("href") or attributes.get("content") or "") if says else ""
    scope = "page"
    above: LexborNode | None = node
    while above is not None and above.tag not in ("body", "html", "-document"):
        about = above.attributes.get("about") or above.attributes.get("itemid") or ""
        kind = above.attributes.get("itemtype") or above.attributes.get("typeof") or ""
        if about and not about.startswith("#") and re.search(r"\.(?:jpe?g|png|gif|svg|webp|mp[34]|ogg|pdf|zip)\b", about, re.IGNORECASE):
            scope = "image"
        if kind:
            scope = scope if scope == "image" else _scope_of_kind(kind)
            break
        above = above.parent
    return scope, link[:300]


def _head_links(tree: LexborHTMLParser) -> Iterator[Statement]:
    for node in tree.css("link[rel~=license][href]")[:5]:
        yield {"place": "rel-license", "scope": "page", "text": "", "links": [], "marks": [], "link": (node.attributes["href"] or "")[:300]}


def _metas(tree: LexborHTMLParser) -> Iterator[Statement]:
    for node in tree.css("meta[content]")[:500]:
        names = f"{node.attributes.get('name') or ''} {node.attributes.get('property') or ''}".lower().split()
        content = (node.attributes.get("content") or "")[:_LONGEST]
        if content and _META.intersection(names):
            yield {"place": "meta", "scope": "page", "text": content, "links": [], "marks": [], "link": ""}


def _json_ld(tree: LexborHTMLParser) -> Iterator[Statement]:
    for script in tree.css('script[type="application/ld+json"]')[:20]:
        try:
            stack: list[tuple[Any, bool]] = [(json.loads(script.text()), False)]
        except (ValueError, RecursionError):
            continue  # a page may carry broken JSON-LD: it then says nothing
        for _ in range(5_000):
            if not stack:
                break
            value, of_other = stack.pop()
            if isinstance(value, list):
                stack.extend((item, of_other) for item in value[:200])
            elif isinstance(value, dict):
                yield from _of_object(value, of_other)
                stack.extend((item, of_other or key.lower() in _OF_OTHERS) for key, item in value.items() if isinstance(item, dict | list))


def _of_object(value: dict[str, Any], of_other: bool) -> Iterator[Statement]:
    kinds = value.get("@type", "")
    kind = " ".join(map(str, kinds)) if isinstance(kinds, list) else str(kinds)
    licences = value.get("license")
    for licence in licences if isinstance(licences, list) else [licences]:
        named = licence.get("url") or licence.get("@id") or licence.get("name") if isinstance(licence, dict) else licence
        if isinstance(named, str) and named:
            scope = "embedded" if of_other and _scope_of_kind(kind) == "page" else _scope_of_kind(kind)
            yield {
                "place": "json-ld",
                "scope": scope,
                "text": f"{kind} license {named}"[:_LONGEST],
                "links": [],
                "marks": [],
                "link": named[:300],
            }


def _scope_of_kind(kind: str) -> str:
    if re.search(r"Image|Photo|Video|Audio|Media|Podcast|Episode|Music|Map\b", kind):
        return "image"
    if re.search(r"Software|Application|SourceCode|App\b", kind):
        return "software"
    if re.search(r"Data", kind):
        return "embedded"
    return "page" if _ABOUT_PAGES.search(kind) else "embedded"
