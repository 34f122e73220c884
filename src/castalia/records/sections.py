"""A document in passages: what is shown to an oracle, and how its citations are resolved.

An oracle sees numbered blocks and cites numbers. Only code turns a citation into `Evidence`, and only when the blocks
were shown and the quote is there letter by letter.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from castalia.records.atom import Evidence
from castalia.records.document import Block, Document
from castalia.records.flaw import Flaw


class Section(NamedTuple):
    """Blocks `first` to `last`, both included, of one document."""

    subject: str
    first: int
    last: int


def sections(document: Document, max_words: int) -> list[Section]:
    """Cuts a document at headings into passages of at most `max_words` words; a single longer block stays whole.

    Cuts fall before headings of level 1 and 2, then before deeper ones where a piece is still too long, then between
    any two blocks. Neighboring pieces are joined again while they fit, so that a passage is as long as allowed.
    """
    pieces = _packed(_pieces(list(document.blocks), max_words, level=2), max_words)
    return [section_at(document, piece[0].number, piece[-1].number) for piece in pieces if _words(piece)]


def section_at(document: Document, first: int, last: int) -> Section:
    """The passage `first` to `last`; its subject is the URL without scheme, `#`, and the two numbers."""
    return Section(f"{document.url.partition('://')[2] or document.url}#{first}-{last}", first, last)


def section_named(document: Document, subject: str) -> Section | None:
    """The passage of `document` with this subject, None where it isn't one of its passages."""
    first, dash, last = subject.rpartition("#")[2].partition("-")
    if not (dash and first.isdecimal() and last.isdecimal()):
        return None
    section = section_at(document, int(first), int(last))
    return section if section.subject == subject and section.first <= section.last < len(document.blocks) else None


def blocks_of(document: Document, section: Section) -> tuple[Block, ...]:
    """The blocks of a passage, in order."""
    return tuple(block for block in document.blocks if section.first <= block.number <= section.last)


def show_blocks(blocks: Iterable[Block]) -> str:
    """The blocks as a prompt shows them: `[NUMBER] KIND: TEXT`, several lines of text below their head."""
    return "\n\n".join(_show(block) for block in blocks)


def show_section(document: Document, section: Section) -> str:
    """A passage as a prompt shows it: title of the page and address, which are as foreign as the text, then the blocks."""
    title = " ".join(document.title.split())
    return f"Page: {title}\nPassage: {section.subject}\n\n{show_blocks(blocks_of(document, section))}"


def cite(document: Document, section: Section, numbers: Sequence[int], quote: str = "") -> Evidence | Flaw:
    """The evidence for blocks of a passage, or why there is none: nothing cited, not shown, or a quote that isn't there."""
    if not numbers:
        return Flaw("no-blocks-cited", "")
    missing = [number for number in numbers if not section.first <= number <= section.last]
    if missing:
        return Flaw("block-not-shown", f"{missing} are not among {section.first}-{section.last}")
    cited = tuple(sorted(set(numbers)))
    if quote and not any(quote in document.blocks[number].text for number in cited):
        return Flaw("quote-not-in-blocks", quote)
    return Evidence(document=document.id, url=document.url, blocks=cited, quote=quote)


def _pieces(blocks: list[Block], max_words: int, level: int) -> list[list[Block]]:
    if _words(blocks) <= max_words or len(blocks) < 2:
        return [blocks] if blocks else []
    if level > 6:
        return [[block] for block in blocks]
    starts = [0, *(i for i, block in enumerate(blocks) if i and block.kind == "heading" and block.level <= level), len(blocks)]
    parts = [blocks[a:b] for a, b in pairwise(starts)]
    return [small for part in parts for small in _packed(_pieces(part, max_words, level + 1), max_words)]


def _packed(pieces: list[list[Block]], max_words: int) -> list[list[Block]]:
    packed: list[list[Block]] = []
    for piece in pieces:
        if packed and _words(packed[-1]) + _words(piece) <= max_words:
            packed[-1] = packed[-1] + piece
        else:
            packed.append(piece)
    return packed


def _words(blocks: Iterable[Block]) -> int:
    return sum(len(block.text.split()) for block in blocks)


def _show(block: Block) -> str:
    detail = f"({block.level})" if block.kind == "heading" else f"({block.language})" if block.language else ""
    separator = "\n" if "\n" in block.text else " "
    return f"[{block.number}] {block.kind}{detail}:{separator}{block.text}"
