"""What is found in a text: a place, a kind, and the rule that decided."""

import re
from collections.abc import Iterator
from typing import NamedTuple

KINDS = ("EMAIL", "PHONE", "CARD", "IBAN", "IP", "MAC", "ID", "LICENSE", "PASSPORT", "BIRTH_DATE", "WALLET", "SECRET", "URL")
"""Kinds that a form decides. `URL` is found only on request: an address of a page is seldom personal."""


class Span(NamedTuple):
    """A piece of personal data.

    `start` and `end` count characters. `certain` when a check digit, or a form that nothing else has, confirms it. `reserved`
    when the value leads to nobody: set aside for documents and tests, of a private network, or of a role such as `noreply@`.
    `rule` says what decided, never what was found.
    """

    start: int
    end: int
    kind: str
    value: str
    certain: bool
    reserved: bool = False
    rule: str = "form"


def is_placeholder(value: str) -> bool:
    """A number that stands for another: zeros, with at most three other digits at the end, and `X` for letters."""
    digits = "".join(character for character in value if character.isdigit())
    return len(digits) > 3 and not digits[:-3].strip("0") and not any(character.isalpha() and character != "X" for character in value)


def matches(pattern: re.Pattern[str], text: str, start: int, end: int) -> Iterator[re.Match[str]]:
    """Matches within a part of a text; what the pattern says of its surroundings may look three characters beyond the end."""
    for found in pattern.finditer(text, start, min(len(text), end + 3)):
        if found.end() <= end:
            yield found
