"""Blocks as Markdown and as plain text."""

import re
from collections.abc import Iterable

from castalia.records.document import Block

_IMAGE = re.compile(r"!\[([^\]]*)\]\([^)]*\)\Z")


def markdown_text(blocks: Iterable[Block]) -> str:
    """The blocks as one Markdown text."""
    return "\n\n".join(_markdown(block) for block in blocks)


def plain_text(blocks: Iterable[Block]) -> str:
    """The words of the blocks without marks: table cells separated by tabs, images by their description, an empty line between blocks."""
    return "\n\n".join(_plain(block) for block in blocks)


def _markdown(block: Block) -> str:
    if block.kind == "heading":
        return f"{'#' * min(6, max(1, block.level))} {block.text}"
    if block.kind == "code":
        longest = max((len(run) for run in re.findall(r"`{3,}", block.text)), default=2)
        fence = "`" * max(3, longest + 1)
        return f"{fence}{block.language}\n{block.text}\n{fence}"
    if block.kind == "quote":
        return "\n".join(f"> {line}".rstrip() for line in block.text.split("\n"))
    if block.kind == "math":
        return f"$$\n{block.text}\n$$"
    return block.text


def _plain(block: Block) -> str:
    if block.kind == "table":
        return "\n".join("\t".join(row) for row in block.rows)
    if block.kind == "image":
        found = _IMAGE.match(block.text)
        return found[1] if found else block.text
    return block.text
