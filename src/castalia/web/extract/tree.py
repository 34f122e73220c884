"""The visible part of a page as a light tree: what a reader can't see is never built.

Lexbor parses and writes its tree out again; that text is well-formed, so one split into tags and one loop make the elements, measure
text and links on the way, and leave out what is invisible or no text. Asking the parser node by node would take five times as long.

The loop also notes *units*: runs of text between the borders of block elements, the pieces that are kept or dropped as a whole.
"""

import re
from collections.abc import Iterator
from itertools import islice

from selectolax.lexbor import LexborHTMLParser

from castalia.web.extract.visible import hidden_selectors, is_invisible, is_waiting
from castalia.web.prescan import word_set

_NEXT_TO_NOTHING = 250
"""Characters of text below which a page waits for its scripts."""
_A_PAGE = 2_000
"""Characters in transparent elements that are no trick but a page that waits."""
MAX_DEPTH = 1_500
"""Elements inside each other. The parser repairs broken nesting, so its tree may be deeper than the source looked."""
BLOCK_TAGS = word_set(
    "address article aside blockquote body center dd details dialog dir div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 "
    "header hgroup hr legend li listing main menu nav ol option p pre search section summary table caption tbody td tfoot th thead tr ul xmp "
    "label button"
)
_DROPPED = word_set(
    "style noscript template iframe object embed canvas svg audio video map button input select textarea datalist progress meter "
    "link meta noframes noembed frameset title base"
)
_STRIPPED = [*sorted(_DROPPED - word_set("link meta input")), "head"]
_VOID = word_set("area base br col embed hr img input link meta param source track wbr basefont bgsound frame keygen")
_PERMALINKS = word_set("headerlink permalink hash-link header-anchor anchorjs-link heading-link headinglink anchor-link")
_COMMENT = re.compile(r"<!--.*?-->|<\?[^>]*>", re.DOTALL)
_RAW = re.compile(r"(<(xmp|plaintext)[^>]*>)(.*?)(</\2>)", re.DOTALL)
_TOKEN = re.compile(r"<([^>]*)>")
_ATTRIBUTE = re.compile(r' ([^\s="]+)(?:="([^"]*)")?')
_WORDS_OF_CLASS = re.compile(r"[A-Za-z][a-z]*|[0-9]+")
_NO_CLASSES: frozenset[str] = frozenset()


class Element:
    """A visible element: children are elements and text in order."""

    __slots__ = ("_attributes", "_classes", "children", "link_length", "ordinal", "parent", "raw", "tag", "text_length")

    def __init__(self, tag: str, raw: str, parent: "Element | None", ordinal: int = -1) -> None:
        self.tag = tag
        self.raw = raw
        """The start tag without its brackets, as the parser wrote it."""
        self.parent = parent
        self.ordinal = ordinal
        """How many elements with this tag stand before it in the parser's tree."""
        self.children: list[Element | str] = []
        self.text_length = 0
        """Characters of text below, runs of whitespace counted once."""
        self.link_length = 0
        """How many of them stand in links."""
        self._attributes: dict[str, str] | None = None
        self._classes: frozenset[str] | None = None

    @property
    def attributes(self) -> dict[str, str]:
        """All attributes; one without a value is empty."""
        if self._attributes is None:
            self._attributes = _read_attributes(self.raw)
        return self._attributes

    @property
    def classes(self) -> frozenset[str]:
        """Class names, lower-case."""
        if self._classes is None:
            self._classes = frozenset(self.get("class").lower().split()) if "class=" in self.raw else _NO_CLASSES
        return self._classes

    def get(self, name: str) -> str:
        """An attribute, empty when it is missing."""
        return self.attributes.get(name, "") if name in self.raw else ""

    def elements(self) -> Iterator["Element"]:
        """Child elements."""
        return (child for child in self.children if isinstance(child, Element))

    def walk(self) -> Iterator["Element"]:
        """This element and all below in document order."""
        stack: list[Element] = [self]
        while stack:
            element = stack.pop()
            yield element
            stack.extend(child for child in reversed(element.children) if isinstance(child, Element))

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


class Unit:
    """A run of text between two block borders."""

    __slots__ = ("breaks", "element", "linked", "places", "texts")

    def __init__(self, element: Element) -> None:
        self.element = element
        """The block element that it stands in."""
        self.texts: list[str] = []
        self.places: list[tuple[Element, int]] = []
        """Where each text stands: parent and position among its children."""
        self.linked = 0
        """Characters of text in links, whitespace at the ends of nodes left out."""
        self.breaks = 0


class Parsed:
    """A parsed page: the visible body and its units in reading order."""

    def __init__(
        self,
        body: Element,
        elements: list[Element],
        units: list[Unit],
        images: list[tuple[Element, int]],
        counts: dict[str, int],
        waiting: int,
        *,
        too_deep: bool,
    ) -> None:
        self.body = body
        self.elements = elements
        """All elements that are no void ones, in document order."""
        self.units = units
        self.images = images
        """Pictures, each with the number of units that begin before it."""
        self.counts = counts
        """How many elements of each tag the body has, invisible ones included."""
        self.waiting = waiting
        """Characters in transparent elements, which were left out."""
        self.too_deep = too_deep

    def release(self) -> None:
        """Cuts the elements from those around them, for when the page is done with: memory is given back at once, where the search for
        cycles would take a tenth of the time that the whole page takes."""
        for element in self.elements:
            element.parent = None


def class_words(element: Element) -> list[str]:
    """Words of class and id, split at dashes, underscores and capitals: `docs-topNav` is docs, top, nav."""
    return [word.lower() for word in _WORDS_OF_CLASS.findall(f"{element.get('class')} {element.get('id')}")]


def parse(html: str) -> Parsed:
    """The visible tree of `html`.

    A page may wait for its scripts. When most of its text stands in transparent elements, they count as visible. When hardly anything
    is visible, so does what only its own style sheets hide, and after that what it shows to readers without scripts.
    """
    hidden = hidden_selectors(html)
    found = _parse(html, hidden, waiting=True)
    if found.waiting > max(_A_PAGE, found.body.text_length):
        found = _parse(html, hidden, waiting=False)
    if hidden and found.body.text_length < _NEXT_TO_NOTHING:
        found = max(found, _parse(html, frozenset(), waiting=True), key=_visible)
    if found.body.text_length < _NEXT_TO_NOTHING and "<noscript" in html:
        found = max(found, _parse(html, frozenset(), waiting=False, noscript=True), key=_visible)
    return found


def _visible(page: Parsed) -> int:
    return page.body.text_length


def _parse(html: str, hidden: frozenset[str], *, waiting: bool, noscript: bool = False) -> Parsed:
    document = LexborHTMLParser(html)
    if noscript:
        document.unwrap_tags(["noscript"])
    has_formulas = "math/tex" in html
    document.strip_tags(_STRIPPED if has_formulas else [*_STRIPPED, "script"])
    source = (document.body.html if document.body is not None else "") or ""
    if has_formulas:
        source = _SCRIPT.sub(_formula_script, source)
    if "<!--" in source or "<?" in source:
        source = _COMMENT.sub("", source)
    if "<xmp" in source or "<plaintext" in source:
        source = _RAW.sub(lambda match: match[1] + match[3].replace("<", "&lt;").replace(">", "&gt;") + match[4], source)
    return _build(_TOKEN.split(source), hidden, waiting=waiting)


_SCRIPT = re.compile(r"<script([^>]*)>(.*?)</script>", re.DOTALL)


def _formula_script(match: re.Match[str]) -> str:
    if 'type="math/tex' not in match[1]:
        return ""
    mode = ' display="block"' if "mode=display" in match[1] else ""
    return f"<math{mode} data-tex>{match[2].replace('<', '&lt;').replace('>', '&gt;')}</math>"


# What becomes of an element: the first three kinds have no end tag, those from _GONE on are left out with all that they hold.
_NOTHING, _BREAK, _IMAGE, _INLINE, _LINK, _BLOCK, _PRE, _GONE, _GONE_BLOCK, _WAITING, _WAITING_BLOCK = range(11)


class _Looks(dict[str, tuple[str, int]]):
    """Name and kind of every start tag. A page repeats its tags, so each is looked at once."""

    def __init__(self, hidden: frozenset[str], *, waiting: bool) -> None:
        super().__init__()
        self._hidden = hidden
        self._waiting = waiting

    def __missing__(self, tag: str) -> tuple[str, int]:
        name = tag.partition(" ")[0]
        self[tag] = look = name, self._kind(name, tag)
        return look

    def _kind(self, name: str, tag: str) -> int:
        if name in _VOID:
            if name == "br" or name == "hr":
                return _BREAK
            return _IMAGE if name == "img" and self._visibility(name, tag) == _INLINE else _NOTHING
        visibility = _GONE if name in _DROPPED else self._visibility(name, tag)
        if visibility == _INLINE:
            return _LINK if name == "a" else _PRE if name == "pre" else _BLOCK if name in BLOCK_TAGS else _INLINE
        return visibility + (name in BLOCK_TAGS)

    def _visibility(self, name: str, tag: str) -> int:
        if not (
            "hidden" in tag or "style=" in tag or "sr-only" in tag or "screen" in tag or "invisible" in tag or "editsection" in tag
            or (self._hidden and ("class=" in tag or "id=" in tag))
        ):  # fmt: skip
            return _INLINE
        attributes = _read_attributes(tag)
        if is_invisible(name, attributes, self._hidden):
            return _GONE
        return _WAITING if self._waiting and is_waiting(attributes) else _INLINE


def _build(parts: list[str], hidden: frozenset[str], *, waiting: bool) -> Parsed:
    looks = _Looks(hidden, waiting=waiting)
    body = Element("body", parts[1] if len(parts) > 1 else "body", None, 0)
    current = body
    block = body
    blocks = [body]
    units: list[Unit] = []
    images: list[tuple[Element, int]] = []
    unit: Unit | None = None
    counts: dict[str, int] = {"body": 1}
    links = preformatted = skipping = depth = transparent = 0
    is_transparent = False
    too_deep = False
    children = body.children
    elements = [body]
    tags, texts = islice(parts, 3, None, 2), islice(parts, 4, None, 2)
    if len(parts) > 2 and parts[2]:
        texts = iter([parts[2], *texts])
        tags = iter(["wbr", *tags])
    for tag, text in zip(tags, texts, strict=False):
        if tag[0] == "/":
            if skipping:
                skipping -= 1
            elif (name := tag[1:]) == current.tag and (above := current.parent) is not None:
                above.text_length += current.text_length
                above.link_length += current.link_length
                depth -= 1
                if name == "a":
                    links -= 1
                    if "#" in current.raw and _is_permalink(current):
                        _forget(current, above, unit)
                elif name == "pre":
                    preformatted -= 1
                if current is block:
                    blocks.pop()
                    block = blocks[-1]
                    unit = None
                current = above
                children = current.children
        else:
            name, kind = looks[tag]
            ordinal = counts.get(name, 0)
            counts[name] = ordinal + 1
            if skipping:
                skipping += kind >= _INLINE
            elif kind >= _GONE:
                skipping = 1
                is_transparent = kind >= _WAITING
                if kind in (_GONE_BLOCK, _WAITING_BLOCK) and not preformatted:
                    unit = None
            elif kind >= _INLINE:
                element = Element(name, tag, current, ordinal)
                elements.append(element)
                children.append(element)
                current = element
                children = element.children
                depth += 1
                if depth > MAX_DEPTH:
                    too_deep = True
                    break
                if kind == _LINK:
                    links += 1
                elif kind == _PRE or (kind == _BLOCK and not preformatted):
                    preformatted += kind == _PRE
                    block = element
                    blocks.append(element)
                    unit = None
            elif kind == _BREAK:
                children.append(Element(name, tag, current, ordinal))
                if name == "hr" or (unit is not None and unit.breaks):
                    unit = None if not preformatted else unit
                elif unit is not None:
                    unit.breaks = 1
            elif kind == _IMAGE:
                image = Element(name, tag, current, ordinal)
                children.append(image)
                images.append((image, len(units)))
        if not text:
            continue
        if skipping:
            if is_transparent:
                transparent += len(text)
        else:
            if "&" in text:
                text = text.replace("&nbsp;", "\xa0").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
            words = text.split()
            if not words:
                children.append(text)
                continue
            length = len(" ".join(words))
            current.text_length += length
            if unit is None:
                unit = Unit(block)
                units.append(unit)
            if links:
                current.link_length += length
                unit.linked += length
            unit.texts.append(text)
            unit.places.append((current, len(children)))
            unit.breaks = 0
            children.append(text)
    while current.parent is not None:  # only when the loop was left early, or the parser wrote an element without its end
        current.parent.text_length += current.text_length
        current.parent.link_length += current.link_length
        current = current.parent
    return Parsed(body, elements, units, images, counts, transparent, too_deep=too_deep)


def _forget(element: Element, above: Element, unit: Unit | None) -> None:
    """Takes a permalink, which was the last element to be read, out again."""
    above.children.pop()
    above.text_length -= element.text_length
    above.link_length -= element.link_length
    if unit is not None:
        unit.linked -= element.link_length
        kept = [place for place, (parent, _) in enumerate(unit.places) if parent is not element]
        unit.texts = [unit.texts[place] for place in kept]
        unit.places = [unit.places[place] for place in kept]


def _is_permalink(element: Element) -> bool:
    if not element.get("href").startswith("#"):
        return False
    if element.classes & _PERMALINKS:
        return True
    text = "".join(child for child in element.children if isinstance(child, str)).strip()
    return text in {"¶", "§", "🔗", "#", "\uf0c1"} and not any(True for _ in element.elements())


def _read_attributes(raw: str) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for name, value in _ATTRIBUTE.findall(raw):
        if "&" in value:
            value = value.replace("&nbsp;", "\xa0").replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        attributes.setdefault(name, value)
    return attributes
