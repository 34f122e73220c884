"""Code blocks, byte for byte: highlighter spans and line-number gutters go, everything else stays."""

import re
from collections.abc import Iterator

from castalia.web.extract.tree import Element
from castalia.web.prescan import word_set

CODE_TAGS = word_set("pre xmp listing")
_GUTTERS = word_set(
    "linenos linenodiv lineno linenumber linenumbers line-number line-numbers line-numbers-rows gutter lnt ln blob-num "
    "hljs-ln-numbers react-syntax-highlighter-line-number rouge-gutter highlight-line-number"
)
_LANGUAGE = re.compile(r"(?:^|\s)(?:highlight-source-|highlight-|language-|lang-|brush:\s*|sourcecode\s+)([A-Za-z0-9_+#.-]+)")
_NO_LANGUAGE = word_set("default none notranslate plaintext nohighlight highlight code")


def is_code_block(element: Element) -> bool:
    """Whether the element is a block of code: `<pre>`, or `<code>` with line breaks of its own."""
    return element.tag in CODE_TAGS or (element.tag == "code" and any(child.tag == "br" for child in element.elements()))


def code_text(element: Element) -> str:
    """The code without the line breaks at its end. `<br>` is a line break; gutters are left out."""
    return "".join(_parts(element)).replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


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
    return bool(element.classes & _GUTTERS)


def _parts(element: Element) -> Iterator[str]:
    for child in element.children:
        if isinstance(child, str):
            yield child
        elif child.tag == "br":
            yield "\n"
        elif not is_gutter(child):
            yield from _parts(child)
            # Editors that wrap each line in a block element rely on the block for the line break.
            if child.tag in ("div", "p", "li", "tr") and child is not element.children[-1]:
                yield "" if _ends_line(child) else "\n"


def _ends_line(element: Element) -> bool:
    last = element.children[-1] if element.children else ""
    return last.endswith("\n") if isinstance(last, str) else last.tag != "br" and _ends_line(last)
