"""The visible part of a page as a light tree: what a reader can't see is never built.

Lexbor parses; one walk copies elements and text, drops invisible and non-textual elements, and measures text and links
on the way. Offsets come from the pre-scan: the n-th `<pre>` of the DOM is the n-th `<pre` of the source, which holds
for every tag name of which source and DOM have equally many.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from castalia.web.prescan import StartTag, word_set

_DROPPED = word_set(
    "script style noscript template head iframe object embed canvas svg audio video map "
    "button input select textarea datalist dialog progress meter link meta"
)
_SCREEN_READER_ONLY = word_set("sr-only visually-hidden visuallyhidden screen-reader-text screenreader-text a11y-hidden")
_PERMALINKS = word_set("headerlink permalink hash-link header-anchor anchorjs-link heading-link headinglink")
_INVISIBLE_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0(?:\.0+)?\s*(?:;|!|$)|font-size\s*:\s*0(?:px|em|rem|%|pt)?\s*(?:;|!|$)"
    r"|(?:left|top|text-indent|right|margin-left)\s*:\s*-\d{3,}(?:\.\d+)?(?:px|em|rem|%)|clip\s*:\s*rect\(\s*(?:0|1px)"
    r"|(?:width|height|max-height|max-width)\s*:\s*0(?:px)?\s*(?:;|!|$)",
    re.IGNORECASE,
)
_STYLE_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_SIMPLE_SELECTOR = re.compile(r"[.#][\w-]+\Z")
_WORDS_OF_CLASS = re.compile(r"[A-Za-z][a-z]*|[0-9]+")


class Element:
    """A visible element: children are elements and text in order."""

    __slots__ = ("attributes", "children", "classes", "link_length", "offset", "parent", "tag", "text_length")

    def __init__(self, tag: str, attributes: dict[str, str | None], parent: "Element | None", offset: int) -> None:
        self.tag = tag
        self.attributes = attributes
        self.classes = frozenset((attributes.get("class") or "").lower().split())
        self.parent = parent
        self.offset = offset
        self.children: list[Element | str] = []
        self.text_length = 0
        """Characters of text below, runs of whitespace counted once."""
        self.link_length = 0
        """How many of them stand in links."""

    def get(self, name: str) -> str:
        """An attribute, empty when it is missing."""
        return self.attributes.get(name) or ""

    def elements(self) -> Iterator["Element"]:
        """Child elements."""
        return (child for child in self.children if isinstance(child, Element))

    def walk(self) -> Iterator["Element"]:
        """This element and all below in document order."""
        yield self
        for child in self.elements():
            yield from child.walk()

    def find(self, *tags: str) -> "Element | None":
        """The first element below with one of these tags."""
        return next((element for element in self.walk() if element.tag in tags and element is not self), None)

    def remove(self) -> None:
        """Takes the element out of its parent and its text out of all counts above."""
        if self.parent is None:
            return
        self.parent.children.remove(self)
        above: Element | None = self.parent
        while above is not None:
            above.text_length -= self.text_length
            above.link_length -= self.link_length
            above = above.parent
        self.parent = None


class Parsed:
    """A parsed page: the visible body, and what its head says."""

    def __init__(self, body: Element, title: str, language: str) -> None:
        self.body = body
        self.title = title
        self.language = language


def parse(html: str, tags: tuple[StartTag, ...]) -> Parsed:
    """The visible tree of `html`; `tags` are the start tags that the pre-scan saw."""
    document = LexborHTMLParser(html)
    title = document.css_first("title")
    root = document.css_first("html")
    language = ((root.attributes.get("lang") or root.attributes.get("xml:lang") or "") if root else "").strip()
    hidden = _hidden_selectors(document)
    offsets = _offsets(document, tags)
    body = Element("body", {}, None, -1)
    if document.body is not None:
        _copy_children(document.body, body, hidden, offsets)
    _measure(body, in_link=False)
    return Parsed(body, " ".join(title.text().split()) if title else "", language)


def class_words(element: Element) -> list[str]:
    """Words of class and id, split at dashes, underscores and capitals: `docs-topNav` is docs, top, nav."""
    return [word.lower() for word in _WORDS_OF_CLASS.findall(f"{element.get('class')} {element.get('id')}")]


def _offsets(document: LexborHTMLParser, tags: tuple[StartTag, ...]) -> dict[int, int]:
    by_name: defaultdict[str, list[int]] = defaultdict(list)
    for tag in tags:
        by_name[tag.name].append(tag.offset)
    root = document.root
    nodes = [node for node in root.traverse() if node.tag] if root else []
    counts = Counter(node.tag for node in nodes)
    seen: Counter[str] = Counter()
    offsets: dict[int, int] = {}
    for node in nodes:
        name = str(node.tag)
        if counts[name] == len(by_name[name]):
            offsets[node.mem_id] = by_name[name][seen[name]]
            seen[name] += 1
    return offsets


def _hidden_selectors(document: LexborHTMLParser) -> frozenset[str]:
    """`.class` and `#id` selectors that the page's own style sheets hide on every medium."""
    hidden: set[str] = set()
    for style in document.css("style"):
        sheet = style.text()
        if "@media" in sheet or len(sheet) > 200_000:
            sheet = sheet[: sheet.find("@media")] if "@media" in sheet else ""
        for selectors, rules in _STYLE_RULE.findall(sheet):
            if re.search(r"display\s*:\s*none|visibility\s*:\s*hidden", rules):
                hidden.update(name.strip() for name in selectors.split(",") if _SIMPLE_SELECTOR.match(name.strip()))
    return frozenset(hidden)


def _copy_children(source: LexborNode, target: Element, hidden: frozenset[str], offsets: dict[int, int]) -> None:
    node = source.first_child
    while node is not None:
        tag = node.tag
        if tag == "-text":
            target.children.append(node.text_content or "")
        elif tag and not tag.startswith("-"):
            element = Element(tag, node.attributes, target, offsets.get(node.mem_id, -1))
            if tag == "math":
                target.children.append(_formula(node, element))
            elif tag not in _DROPPED and not _is_invisible(element, hidden):
                _copy_children(node, element, hidden, offsets)
                if not _is_permalink(element):
                    target.children.append(element)
            elif tag == "script" and element.get("type").startswith("math/tex"):
                formula = Element("math", element.attributes, target, element.offset)
                formula.children.append(node.text())
                target.children.append(formula)
        node = node.next


def _formula(node: LexborNode, element: Element) -> Element:
    """MathML with the TeX it was made from, where it says so."""
    annotation = node.css_first('annotation[encoding="application/x-tex"]')
    element.children = [(annotation or node).text()]
    return element


def _is_invisible(element: Element, hidden: frozenset[str]) -> bool:
    attributes = element.attributes
    if "hidden" in attributes and attributes["hidden"] != "until-found":
        return True
    if attributes.get("aria-hidden") == "true" and element.tag not in ("pre", "code", "table"):
        return True
    if element.classes & _SCREEN_READER_ONLY:
        return True
    style = attributes.get("style")
    if style and _INVISIBLE_STYLE.search(style):
        return True
    return bool(hidden) and (f"#{element.get('id')}" in hidden or any(f".{name}" in hidden for name in element.get("class").split()))


def _is_permalink(element: Element) -> bool:
    if element.tag != "a" or not element.get("href").startswith("#"):
        return False
    if element.classes & _PERMALINKS:
        return True
    text = "".join(child for child in element.children if isinstance(child, str)).strip()
    return text in {"¶", "§", "🔗", "#", "\uf0c1"} and not any(True for _ in element.elements())


def _measure(element: Element, in_link: bool) -> None:
    in_link = in_link or element.tag == "a"
    for child in element.children:
        if isinstance(child, Element):
            _measure(child, in_link)
            element.text_length += child.text_length
            element.link_length += child.link_length
        else:
            length = len(" ".join(child.split()))
            element.text_length += length
            element.link_length += length if in_link else 0
