"""Tables as cells: spans are filled in, header rows counted, layout tables told apart."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from castalia.web.extract.code import CODE_TAGS, is_gutter
from castalia.web.extract.inline import inline_text
from castalia.web.extract.tree import Element
from castalia.web.prescan import word_set

_MAX_SPAN = 100
_MAX_COLUMNS = 200
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_NAVIGATION = word_set("nav navigation navbar navheader navfooter nav-table")
_STEPS = word_set("prev previous next up home top contents index")
_LETTERS = re.compile(r"[^A-Za-z]+")
_LONGEST_PAGER = 400
"""Characters."""
_COMPOSED = 0.2
"""Share of filled cells."""
_PARAGRAPHS = 2
"""Per cell."""
_SENTENCE = 80
"""Characters."""


class Table(NamedTuple):
    """Rows of equal width. A cell that spans columns or rows stands in each of them."""

    rows: tuple[tuple[str, ...], ...]
    header_rows: int


def is_layout(table: Element) -> bool:
    """Whether the table only arranges blocks: one cell per row, tables inside, or a good part of its cells are compositions themselves."""
    if table.get("role") in ("presentation", "none"):
        return True
    cells = [[cell for cell in row.elements() if cell.tag in ("td", "th") and not is_gutter(cell)] for row in _rows(table)]
    if not cells or max(len(row) for row in cells) < 2:
        return True
    flat = [cell for row in cells for cell in row]
    if any(element.tag == "table" for cell in flat for element in cell.walk()):
        return True
    if any(cell.tag == "th" for cell in flat):
        return False
    filled = [cell for cell in flat if cell.text_length]
    composed = sum(_is_composed(cell) for cell in filled)
    return composed > _COMPOSED * len(filled) or (composed > 0 and len(cells) == 1)


def is_navigation(table: Element) -> bool:
    """Whether the table says that it is for navigation, or is a short row of links to what comes before, after and above."""
    if "navigation" in table.get("summary").lower() or table.get("role") == "navigation" or table.classes & _NAVIGATION:
        return True
    if table.text_length > _LONGEST_PAGER:
        return False
    links = {_LETTERS.sub("", inline_text(element)).lower() for element in table.walk() if element.tag == "a"}
    return len(links & _STEPS) > 1


def _is_composed(cell: Element) -> bool:
    """Whether a cell holds code, a heading above other text, or several paragraphs of some length."""
    paragraphs = 0
    for inner in cell.walk():
        if inner.tag in CODE_TAGS or (inner.tag in _HEADINGS and inner.text_length < cell.text_length):
            return True
        paragraphs += inner.tag == "p" and inner.text_length > _SENTENCE
    return paragraphs > _PARAGRAPHS


def read_table(table: Element) -> Table:
    """The cells of a data table."""
    filled: list[dict[int, str]] = []
    header_rows, in_header = 0, True
    carried: dict[int, tuple[int, str]] = {}
    for row in _rows(table):
        cells: dict[int, str] = {}
        column = 0
        elements = [cell for cell in row.elements() if cell.tag in ("td", "th")]
        for cell in elements:
            while column in carried:
                column = _take(carried, column, cells)
            text = inline_text(cell)
            down = _span(cell.get("rowspan"))
            for _ in range(_span(cell.get("colspan"))):
                if column >= _MAX_COLUMNS:
                    break
                cells[column] = text
                if down > 1:
                    carried[column] = (down - 1, text)
                column += 1
        for rest in sorted(set(carried) - set(cells)):
            if rest >= column:
                _take(carried, rest, cells)
        if not any(cells.values()):
            continue
        all_headers = bool(elements) and all(cell.tag == "th" for cell in elements)
        in_header = in_header and (_in_head(row) or (all_headers and len(elements) > 1))
        header_rows += in_header
        filled.append(cells)
    width = max((max(cells) + 1 for cells in filled), default=0)
    rows = tuple(tuple(cells.get(column, "") for column in range(width)) for cells in filled)
    return Table(rows, header_rows)


def table_markdown(table: Table) -> str:
    """The table as a Markdown table; without header rows the header line is empty."""
    width = len(table.rows[0]) if table.rows else 0
    head = table.rows[: max(1, table.header_rows)] if table.header_rows else ((("",) * width),)
    lines = [
        _line(head[0]),
        "|" + " --- |" * width,
        *(_line(row) for row in head[1:]),
        *(_line(row) for row in table.rows[table.header_rows :]),
    ]
    return "\n".join(lines)


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _rows(table: Element) -> Iterator[Element]:
    for child in table.elements():
        if child.tag == "tr":
            yield child
        elif child.tag in ("thead", "tbody", "tfoot"):
            yield from (row for row in child.elements() if row.tag == "tr")


def _in_head(row: Element) -> bool:
    return row.parent is not None and row.parent.tag == "thead"


def _span(value: str) -> int:
    return min(max(int(value), 1), _MAX_SPAN) if value.isascii() and value.isdigit() else 1


def _take(carried: dict[int, tuple[int, str]], column: int, cells: dict[int, str]) -> int:
    """Puts a cell that reaches down from an earlier row into `cells`; gives the next column."""
    left, text = carried[column]
    cells[column] = text
    if left > 1:
        carried[column] = (left - 1, text)
    else:
        del carried[column]
    return column + 1
