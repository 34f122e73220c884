"""Fenced code blocks of an answer (CommonMark 0.31, section 4.5)."""

import re
from typing import NamedTuple

_OPEN = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*([^\n`]*)")


class Fence(NamedTuple):
    """One block: its info string and its text."""

    language: str
    text: str


def code_blocks(answer: str) -> list[Fence]:
    """The fenced blocks in order; one that is never closed runs to the end."""
    return _parted(answer)[0]


def without_code(answer: str) -> str:
    """The answer without its fenced blocks."""
    return "\n".join(_parted(answer)[1])


def _parted(answer: str) -> tuple[list[Fence], list[str]]:
    """The blocks, and the lines around them."""
    blocks: list[Fence] = []
    around: list[str] = []
    mark = language = None
    lines: list[str] = []
    for line in answer.split("\n"):
        line = line.removesuffix("\r")
        if mark is None:
            if opening := _OPEN.fullmatch(line):
                mark, language, lines = opening[1], opening[2].strip(), []
            else:
                around.append(line)
        elif re.fullmatch(rf" {{0,3}}{re.escape(mark[0])}{{{len(mark)},}}[ \t]*", line):
            blocks.append(Fence(language or "", "\n".join(lines)))
            mark = None
        else:
            lines.append(line)
    if mark is not None:
        blocks.append(Fence(language or "", "\n".join(lines)))
    return blocks, around


def program_of(answer: str) -> str:
    """The program an answer gives: its last fenced block, else the whole text."""
    blocks = code_blocks(answer)
    return blocks[-1].text if blocks else answer
