"""From the main element to typed blocks in reading order."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from castalia.web.extract.code import code_language, code_text, holds_code, is_code_block, is_gutter
from castalia.web.extract.inline import formula_text, inline_text, join_inline, pieces_of, plain_text
from castalia.web.extract.table import is_layout, read_table, table_markdown
from castalia.web.extract.tree import Element
from castalia.web.prescan import word_set

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = word_set(
    "address article aside blockquote body center dd details dialog div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 "
    "header hgroup hr li main menu nav ol p pre section summary table tbody td tfoot th thead tr ul xmp listing"
)
_TEXT_TAGS = word_set("p li dt dd td th figcaption summary blockquote address")
_LIST_LIMIT = 1500
"""Characters after which a list is continued in a new block, so that a citation of a block stays precise."""
_SIGNATURE_LEVEL = 4
_ADMONITIONS = word_set(
    "admonition note warning tip caution important danger hint attention error seealso versionadded versionchanged deprecated callout alert"
)
API_CLASSES = word_set("function class method attribute property exception data module staticmethod classmethod struct macro type")
_TITLES = word_set("admonition-title title callout-title alert-title markdown-alert-title")
_DISPLAY_MATH = re.compile(r"\s*(?:\\\[(.*)\\\]|\$\$(.*)\$\$)\s*", re.DOTALL)


@dataclass
class Draft:
    """A block before it is numbered, and the element that it came from."""

    kind: str
    text: str
    level: int = 0
    language: str = ""
    rows: tuple[tuple[str, ...], ...] = ()
    header_rows: int = 0
    source: Element | None = None


@dataclass
class _Writer:
    drafts: list[Draft] = field(default_factory=list[Draft])
    section_level: int = 0
    signature_depth: int = 0

    def add(self, kind: str, text: str, source: Element, **more: object) -> None:
        if text.strip():
            self.drafts.append(Draft(kind, text, source=source, **more))  # pyright: ignore[reportArgumentType]


def segment(root: Element) -> list[Draft]:
    """Blocks of `root`. Text directly in containers becomes paragraphs, so no visible word of `root` is lost."""
    writer = _Writer()
    _flow(writer, root, "paragraph")
    return writer.drafts


def is_admonition(element: Element) -> bool:
    """Whether the element is a note, a warning or the like inside the text."""
    return bool(element.classes & _ADMONITIONS) or element.get("role") == "note"


def _flow(writer: _Writer, container: Element, text_kind: str) -> None:
    """Children of a container: runs of inline nodes become `text_kind` blocks, block elements themselves."""
    pieces: list[str] = []
    source = container

    def flush() -> None:
        nonlocal pieces
        for part in re.split(r"\v\s*\v\s*", "".join(pieces)):
            text = join_inline([part], keep_breaks=True)
            if text and not re.fullmatch(r"[\s|·•»«›‹,/:;-]+", text):
                writer.drafts.append(Draft(text_kind, text, source=source))
        pieces = []

    for child in container.children:
        if isinstance(child, Element) and _is_block(child):
            flush()
            _block(writer, child, text_kind)
        elif isinstance(child, Element) and child.tag == "img":
            continue
        else:
            if not pieces:
                source = child if isinstance(child, Element) and container.tag not in _TEXT_TAGS else container
            pieces.extend(pieces_of(child))
    flush()


def _is_block(element: Element) -> bool:
    if element.tag in _BLOCKS or is_code_block(element):
        return True
    if element.tag == "math":
        return element.get("display") == "block"
    if element.tag == "code":
        return holds_code(element)
    if element.tag == "span" and "katex-display" in element.raw:
        return True
    if element.tag in ("span", "a", "b", "strong", "em", "i", "font", "u", "small", "ins", "del", "label", "abbr", "cite"):
        return any(_is_block(child) for child in element.elements())
    return "-" in element.tag and any(_is_block(child) for child in element.elements())


def _block(writer: _Writer, element: Element, text_kind: str) -> None:
    tag = element.tag
    if tag in _HEADINGS or (element.get("role") == "heading" and element.get("aria-level").isdigit()):
        level = _HEADINGS.get(tag) or min(6, max(1, int(element.get("aria-level"))))
        writer.section_level = level
        writer.add("heading", inline_text(element), element, level=level)
    elif is_code_block(element):
        writer.add("code", code_text(element), element, language=code_language(element))
    elif tag == "table":
        _table(writer, element, text_kind)
    elif tag in ("ul", "ol", "menu"):
        _list(writer, element, 1, text_kind)
    elif tag == "dl":
        _definitions(writer, element, text_kind)
    elif tag == "figure":
        _figure(writer, element, text_kind)
    elif is_admonition(element) and element.tag != "span":
        _admonition(writer, element)
    elif tag == "blockquote":
        _flow(writer, element, "quote")
    elif element.classes & {"math", "katex-display", "mathjax_display"} or tag == "math":
        formula = formula_text(element)
        found = _DISPLAY_MATH.fullmatch(formula)
        writer.add("math", (found[1] or found[2] or "").strip() if found else formula, element)
    elif not is_gutter(element):
        _flow(writer, element, text_kind)


def _table(writer: _Writer, element: Element, text_kind: str) -> None:
    if is_layout(element):
        for child in element.walk():
            if child.tag in ("td", "th", "caption") and not is_gutter(child) and _nearest_table(child) is element:
                _flow(writer, child, text_kind)
        return
    for child in element.elements():
        if child.tag == "caption":
            writer.add("paragraph", inline_text(child), child)
    table = read_table(element)
    if table.rows:
        writer.add("table", table_markdown(table), element, rows=table.rows, header_rows=table.header_rows)


def _nearest_table(element: Element) -> Element | None:
    above = element.parent
    while above is not None and above.tag != "table":
        above = above.parent
    return above


def _list(writer: _Writer, element: Element, level: int, text_kind: str) -> None:
    """A list as one block; an item with code, a table or a heading interrupts it."""
    lines: list[str] = []
    start = element

    def flush() -> None:
        nonlocal lines
        if lines:
            writer.drafts.append(Draft("list", "\n".join(lines), level=level, source=start))
        lines = []

    number = int(element.get("start")) if element.get("start").isdigit() else 1
    for item in element.elements():
        marker = f"{number}. " if element.tag == "ol" else "- "
        number += item.tag == "li"
        if _holds_blocks(item):
            flush()
            _complex_item(writer, item, marker, level, text_kind)
            continue
        item_lines = _item_lines(item, marker, 0)
        if lines and sum(map(len, lines)) + sum(map(len, item_lines)) > _LIST_LIMIT:
            flush()
        if not lines:
            start = item if writer.drafts and lines == [] and item is not next(element.elements(), None) else element
        lines.extend(item_lines)
    flush()


def _holds_blocks(item: Element) -> bool:
    return any(
        child is not item and (is_code_block(child) or child.tag in _HEADINGS or (child.tag == "table" and not is_layout(child)))
        for child in item.walk()
    )


def _item_lines(item: Element, marker: str, depth: int) -> list[str]:
    """One line for the item's own text, then the lines of lists inside it, indented by two spaces per depth."""
    pieces: list[str] = []
    nested: list[str] = []

    def collect(element: Element) -> None:
        for child in element.children:
            if isinstance(child, Element) and child.tag in ("ul", "ol", "menu"):
                for count, inner in enumerate(child.elements(), 1):
                    nested.extend(_item_lines(inner, f"{count}. " if child.tag == "ol" else "- ", depth + 1))
            elif isinstance(child, Element) and child.classes & _TITLES and is_admonition(element):
                pieces.append(" " + _title(child) + " ")
            elif isinstance(child, Element) and child.tag in ("p", "div", "section", "details", "summary", "blockquote", "article"):
                pieces.append(" ")
                collect(child)
                pieces.append(" ")
            elif not (isinstance(child, Element) and child.tag == "img"):
                pieces.extend(pieces_of(child))

    collect(item)
    text = join_inline(pieces)
    own = [f"{'  ' * depth}{marker}{text}"] if text else []
    return own + nested


def _complex_item(writer: _Writer, item: Element, marker: str, level: int, text_kind: str) -> None:
    """An item with blocks of its own: its first text keeps the marker, the rest follows as blocks."""
    before = len(writer.drafts)
    for child in item.children:
        if isinstance(child, Element) and child.tag in ("ul", "ol", "menu"):
            _list(writer, child, level + 1, text_kind)
        elif isinstance(child, Element) and _is_block(child):
            _block(writer, child, text_kind)
        else:
            run = join_inline(pieces_of(child))
            if run and len(writer.drafts) > before and writer.drafts[-1].kind == "paragraph" and writer.drafts[-1].level == -1:
                writer.drafts[-1].text += " " + run
            elif run:
                writer.add("paragraph", run, child if isinstance(child, Element) else item, level=-1)
    added = writer.drafts[before:]
    for draft in added:
        draft.level = max(draft.level, 0)
    if added and added[0].kind == "paragraph":
        first = added[0]
        first.kind, first.text, first.level = "list", marker + first.text.replace("\n", " "), level


def _definitions(writer: _Writer, element: Element, text_kind: str) -> None:
    """API entries: the signature is a heading, its description blocks. Other definitions: a list, `- term: meaning`."""
    entries = list(_definition_children(element))
    if any("sig" in child.classes or child.get("id") for child in entries if child.tag == "dt") and (
        element.classes & API_CLASSES or any("sig" in child.classes for child in entries)
    ):
        _signatures(writer, entries, text_kind)
        return
    if all(_is_simple(child) for child in entries):
        lines: list[str] = []
        for child in entries:
            text = inline_text(child)
            if child.tag == "dt" or not lines:
                lines.append(f"- {text}")
            elif text:
                lines[-1] += f" {text}" if lines[-1].endswith((":", ".", "?")) else f": {text}"
        writer.add("list", "\n".join(line for line in lines if line != "- "), element, level=1)
        return
    for child in entries:
        if child.tag == "dt":
            writer.add("paragraph", inline_text(child), child)
        else:
            _flow(writer, child, text_kind)


def _definition_children(element: Element) -> Iterator[Element]:
    for child in element.elements():
        if child.tag in ("dt", "dd"):
            yield child
        elif child.tag == "div":
            yield from _definition_children(child)


def _is_simple(element: Element) -> bool:
    blocks = [child for child in element.walk() if child is not element and _is_block(child)]
    return len(blocks) <= 1 and all(child.tag in ("p", "div") for child in blocks)


def _signatures(writer: _Writer, entries: list[Element], text_kind: str) -> None:
    section = writer.section_level
    level = min(6, max(_SIGNATURE_LEVEL, section + 1) + writer.signature_depth)
    for child in entries:
        if child.tag == "dt":
            writer.add("heading", plain_text(child), child, level=level)
        else:
            writer.signature_depth += 1
            _flow(writer, child, text_kind)
            writer.signature_depth -= 1
    writer.section_level = section


def _admonition(writer: _Writer, element: Element) -> None:
    """A note: its title and first text form one quote block; code and lists inside stay blocks of their own."""
    title = next((child for child in element.elements() if child.classes & _TITLES), None)
    before = len(writer.drafts)
    for child in element.children:
        if child is title:
            continue
        if isinstance(child, Element) and _is_block(child):
            _block(writer, child, "quote") if child.tag != "p" else _flow(writer, child, "quote")
        else:
            writer.add("quote", join_inline(pieces_of(child)), element)
    if title is None:
        return
    added = writer.drafts[before:]
    if added and added[0].kind == "quote":
        added[0].text = f"{_title(title)} {added[0].text}"
    else:
        heading = Draft("quote", _title(title), source=element)
        writer.drafts.insert(before, heading)


def _title(element: Element) -> str:
    text = inline_text(element)
    return text if text.endswith((":", ".", "!", "?")) else f"{text}:"


def _figure(writer: _Writer, element: Element, text_kind: str) -> None:
    image = element.find("img")
    if image is None or element.find("pre", "table") is not None:
        _flow(writer, element, text_kind)
        return
    caption = element.find("figcaption")
    source = image.get("src") or image.get("data-src")
    text = inline_text(caption if caption is not None else element)
    if source and not source.startswith("data:") and len(source) <= 300:
        writer.add("image", f"![{text}]({source})", image)
    elif text:
        writer.add("image", f"![{text}]()", image)
