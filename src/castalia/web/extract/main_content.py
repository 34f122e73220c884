"""Finds the part of a page that it was written for, by rules that hold for most sites.

Navigation, banners and forms are known by tag, role or the words of their class and id, unless they hold a good part of
the page's text: a wrapper named `has-sidebar` is no sidebar. In what is left, the walk goes down as long as one child
holds nearly everything and no sibling carries a heading, code or a table.
"""

from castalia.web.extract.tree import Element, class_words
from castalia.web.prescan import word_set

_TAGS = word_set("nav footer aside form header")
_ROLES = word_set("navigation banner contentinfo search complementary dialog alertdialog menu menubar toolbar")
_WORDS = word_set(
    "nav navigation navbar menu breadcrumb breadcrumbs sidebar footer cookie cookies consent gdpr share sharing social related "
    "pagination pager newsletter subscribe advert advertisement ads ad promo sponsor sponsored masthead copyright skip skiplink "
    "toc search modal popup banner toolbar login"
)
_TITLE_WORDS = word_set("entry article post page section content story title")
_WITHOUT_EFFECT = word_set("has with no without is hide show")
_ADMONITIONS = word_set(
    "admonition note warning tip caution important danger hint attention error seealso versionadded versionchanged deprecated callout alert"
)
_CONTENT = ("main", "article")
_KEPT_SHARE = 0.3
"""An element with more than this share of the page's plain text is never taken for boilerplate."""


def is_admonition(element: Element) -> bool:
    """Whether the element is a note, a warning or the like inside the text."""
    return bool(element.classes & _ADMONITIONS) or element.get("role") == "note"


def find_main(body: Element) -> Element:
    """Removes boilerplate from the tree below `body` and gives the element that holds the main content."""
    _prune(body)
    root = _marked(body) or body
    while (child := _dominant_child(root)) is not None:
        root = child
    return root


def plain_length(element: Element) -> int:
    """Characters of text that are no link."""
    return element.text_length - element.link_length


def _prune(body: Element) -> None:
    plain, total = max(1, plain_length(body)), max(1, body.text_length)
    for element in list(body.walk()):
        # On a page of links, such as a table of contents, plain text is rare anywhere: there all text is the measure.
        small = plain_length(element) <= _KEPT_SHARE * plain or element.text_length <= 0.15 * total
        if element.parent is not None and small and _looks_like_boilerplate(element):
            element.remove()


def _looks_like_boilerplate(element: Element) -> bool:
    if element.tag in ("body", "main", "article", "pre", "code", "span", "table", "h1", "h2", "h3", "h4", "h5", "h6", "dt", "a"):
        return False
    if is_admonition(element):
        return False
    inside = _inside_content(element)
    if element.tag in _TAGS and not (inside and element.tag in ("header", "footer", "aside") and element.find("p", "h1", "pre")):
        return True
    if element.get("role").lower() in _ROLES:
        return True
    words = class_words(element)
    named = {word for before, word in zip(["", *words], words, strict=False) if before not in _WITHOUT_EFFECT}
    if element.find("pre") is not None:
        return False
    if "header" in named and not inside and not named & _TITLE_WORDS:
        return True
    return bool(named & _WORDS)


def _inside_content(element: Element) -> bool:
    above = element.parent
    while above is not None:
        if above.tag in _CONTENT or above.get("role") == "main":
            return True
        above = above.parent
    return False


def _marked(body: Element) -> Element | None:
    """The element that the page itself marks as main, if it holds enough of the text to be believed."""
    total = max(1, body.text_length)
    mains = [element for element in body.walk() if element.tag == "main" or element.get("role") == "main"]
    root = mains[0] if len(mains) == 1 and mains[0].text_length >= _KEPT_SHARE * total else None
    within = root or body
    articles = [element for element in within.walk() if element.tag == "article" or "articlebody" in element.get("itemprop").lower()]
    outer = [article for article in articles if not any(article is not other and article in list(other.walk()) for other in articles)]
    if len(outer) == 1 and plain_length(outer[0]) >= 0.5 * max(1, plain_length(within)):
        return outer[0]
    return root


def _dominant_child(element: Element) -> Element | None:
    total = plain_length(element)
    if total < 1 or element.tag in ("table", "tbody", "tr", "ul", "ol", "dl", "pre", "p", "blockquote"):
        return None
    for child in element.elements():
        if plain_length(child) >= 0.75 * total and child.tag in ("div", "section", "main", "article", "center", "span", "td"):
            others = [other for other in element.elements() if other is not child]
            if any(other.tag in _CARRIERS or other.find(*_CARRIERS) is not None for other in others):
                return None
            return child
    return None


_CARRIERS = ("h1", "h2", "h3", "h4", "h5", "h6", "pre", "table", "dl")
