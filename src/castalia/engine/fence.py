"""Foreign text inside a prompt: data between marker lines that the text itself can't contain."""

import hashlib
from typing import NamedTuple


class Fenced(NamedTuple):
    """A text and the marker line to put before and after it."""

    mark: str
    text: str


def fence(text: str) -> Fenced:
    """The text with a marker derived from its own hash: looks random, is the same on every run, and can't be forged,
    since a text that holds its own sha256 can't be found."""
    return Fenced(f"=====[{hashlib.sha256(b'fence:' + text.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}]=====", text)
