"""Code blocks, byte for byte: highlighter spans and line-number gutters go, everything else stays."""

import re
from collections.abc import Iterator

from castalia.web.extract.tree import Element
from castalia.web.prescan import word_set

CODE_TAGS = word_set("pre xmp listing")
_GUTTERS = word_set(
    "linenos linenodiv lineno linenumber linenumbers line-number line-numbers line-numbers-rows gutter lnt ln blob-num "
    "hljs-ln-numbers hover-info react-syntax-highlighter-line-number rouge-gutter highlight-line-number"
)
_BOXES = word_set("code-block codeblock code_block code-snippet")
_LANGUAGE = re.compile(r"(?:^|\s)(?:highlight-source-|highlight-|language-|lang-|brush:\s*|sourcecode\s+)([A-Za-z0-9_+#.-]+)")
_NO_LANGUAGE = word_set("default none notranslate plaintext nohighlight highlight code")


def is_code_block(element: Element) -> bool:
    """Whether the element is a block of code: `<pre>`, `<code>` with lines of its own, or a box named after code that holds only text."""
    tag = element.tag
    if tag in CODE_TAGS:
        return not is_gutter(element)
    if tag == "code":
        return any(child.tag == "br" for child in element.elements()) or ("block" in element.classes and not holds_code(element))
    return tag == "div" and "code" in element.raw and bool(element.classes & _BOXES) and _is_bare(element)


def holds_code(element: Element) -> bool:
    """Whether a `<code>` is only the wrapping of other blocks, as `<code><pre>` and code in tables with line numbers."""
    return element.tag == "code" and bool(element.children) and element.find("pre", "table") is not None


def code_text(element: Element) -> str:
    """The code without the line breaks at its end. `<br>` is a line break; line numbers are left out."""
    return "".join(_parts(element, _numbers(element))).replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


def code_language(element: Element) -> str:
    """The language that the block or one of the three elements around it names, lower-case; empty when none does."""
    inner = element.find("code")
    around: list[Element] = [inner] if inner is not None and inner.parent is element else []
    above: Element | None = element
    for _ in range(4):
        if above is None or above.tag in ("body", "section", "article", "main", "dd", "li"):
            break
        around.append(above)
        above = above.parent
    for candidate in around:
        for name in ("data-lang", "data-language", "lang"):
            if name != "lang" or candidate.tag == "pre":
                value = candidate.get(name).strip().lower()
                if value and value not in _NO_LANGUAGE:
                    return value
        for found in _LANGUAGE.findall(candidate.get("class").lower()):
            if found not in _NO_LANGUAGE:
                return found
    return ""


def is_gutter(element: Element) -> bool:
    """Whether the element shows line numbers."""
    return bool(element.classes & _GUTTERS) if "class=" in element.raw else False


def _is_bare(element: Element) -> bool:
    return all(isinstance(child, str) or child.tag in ("span", "br", "b", "i", "em", "strong") for child in element.children) and any(
        "\n" in child.strip() for child in element.children if isinstance(child, str)
    )


def _numbers(element: Element) -> frozenset[int]:
    """Identities of elements that show line numbers without saying so: 1, 2, 3 ... each first in its line, or not to be selected."""
    found: list[tuple[int, Element]] = []
    for inner in element.walk():
        if inner.tag in ("span", "td", "div", "a", "i", "b") and len(inner.children) == 1 and isinstance(text := inner.children[0], str):
            number = text.strip()
            if number.isascii() and number.isdigit() and len(number) < 7 and inner is not element:
                found.append((int(number), inner))
    unselectable = [inner for _, inner in found if "user-select" in inner.raw or "select-none" in inner.raw]
    if unselectable:
        return frozenset(map(id, unselectable))
    rows = [inner.parent for _, inner in found]
    first = all(
        row is not None and next((child for child in row.children if child != ""), None) is inner
        for row, (_, inner) in zip(rows, found, strict=True)
    )
    if (
        len(found) > 1
        and first
        and len(set(map(id, rows))) == len(rows)
        and [number for number, _ in found] == list(range(1, len(found) + 1))
    ):
        return frozenset(id(inner) for _, inner in found)
    return frozenset()


def _parts(element: Element, numbers: frozenset[int]) -> Iterator[str]:
    for child in element.children:
        if isinstance(child, str):
            yield child
        elif child.tag == "br":
            yield "\n"
        elif not is_gutter(child) and id(child) not in numbers:
            yield from _parts(child, numbers)
            # Editors that wrap each line in a block element rely on the block for the line break.
            if child.tag in ("div", "p", "li", "tr") and _breaks_line(child) and child is not element.children[-1]:
                yield "" if _ends_line(child) else "\n"


def _breaks_line(element: Element) -> bool:
    """A box in a row of boxes beside a line number is no line of its own."""
    return element.parent is None or "flex-row" not in element.parent.raw


def _ends_line(element: Element) -> bool:
    last = element.children[-1] if element.children else ""
    return last.endswith("\n") if isinstance(last, str) else last.tag != "br" and _ends_line(last)
