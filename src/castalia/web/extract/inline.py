"""Inline content as one line of text: whitespace collapsed, code in backticks, formulas in dollars."""

import re
from collections.abc import Iterator

from castalia.web.extract.tree import Element
from castalia.web.prescan import word_set

_CODE_TAGS = word_set("code tt kbd samp")
_BLOCK_LIKE = word_set("p div li dd dt tr br td th ul ol dl section figure h1 h2 h3 h4 h5 h6 pre blockquote")
# Single spaces, which are most, stay as they are: replacing them by themselves takes nearly twice as long.
_SPACE = re.compile(r"[\t\n\r\f\xa0][ \t\n\r\f\xa0]*| [ \t\n\r\f\xa0]+")


def inline_text(element: Element, *, keep_breaks: bool = False) -> str:
    """The text of `element` on one line; with `keep_breaks`, a `<br>` is a line break."""
    return join_inline([*_pieces(element)], keep_breaks=keep_breaks)


def plain_text(element: Element) -> str:
    """The text of `element` on one line without any marks, for signatures."""
    return _SPACE.sub(" ", raw_text(element)).strip()


def join_inline(pieces: list[str], *, keep_breaks: bool = False) -> str:
    """Collapses whitespace in pieces of text, where `\\v` stands for a `<br>`."""
    text = _SPACE.sub(" ", "".join(pieces))
    if "\v" not in text:
        return text.strip()
    lines = [line.strip() for line in text.split("\v")]
    if keep_breaks:
        return "\n".join(line for line in lines if line)
    return " ".join(line for line in lines if line)


def pieces_of(node: "Element | str") -> list[str]:
    """Pieces of one node for `join_inline`."""
    if isinstance(node, str):
        return [node.replace("\v", " ")]
    return list(_element_pieces(node))


def raw_text(element: Element) -> str:
    """Text as it stands, without any collapsing."""
    return "".join(child if isinstance(child, str) else raw_text(child) for child in element.children)


def formula_text(element: Element) -> str:
    """The TeX that a formula was made from where MathML names it; otherwise its symbols."""
    math = element if element.tag == "math" else element.find("math")
    if math is None:
        return _SPACE.sub(" ", raw_text(element)).strip()
    for inner in math.walk():
        if inner.tag == "annotation" and "tex" in inner.get("encoding").lower():
            return raw_text(inner).strip()
    return math.get("alttext").strip() or _SPACE.sub(" ", raw_text(math)).strip()


def _pieces(element: Element) -> Iterator[str]:
    for child in element.children:
        yield from pieces_of(child)


def _element_pieces(element: Element) -> Iterator[str]:
    if element.tag == "br":
        yield "\v"
    elif element.tag in _CODE_TAGS:
        code = _SPACE.sub(" ", raw_text(element)).strip()
        if code:
            fence = "``" if "`" in code else "`"
            pad = " " if code.startswith("`") or code.endswith("`") else ""
            yield f"{fence}{pad}{code}{pad}{fence}"
    elif element.tag == "math":
        formula = formula_text(element)
        if formula:
            yield f"${formula}$"
    elif element.tag == "sup" and element.classes & {"reference", "footnote-ref"}:
        return
    elif element.tag in _BLOCK_LIKE:
        yield " "
        yield from _pieces(element)
        yield " "
    else:
        yield from _pieces(element)
