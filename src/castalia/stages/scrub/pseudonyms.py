"""Names for the values of one document: the same value, the same name.

A plausible name has the form of what it stands for and comes from a range that is set aside, so that a text reads and parses
as before and leads to nobody: RFC 2606 (mail), RFC 5737 and 3849 (networks), RFC 7042 (hardware), 555-01xx (telephones of North
America). Numbers become zeros with a counter behind them. Where no such range exists the name is a mark such as `[SECRET_1]`.
"""

import re
from collections.abc import Callable
from typing import Literal

from castalia.web.pii import Span, is_placeholder

Style = Literal["plausible", "marked"]
_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")
_SHAPED = frozenset(["CARD", "IBAN", "ID", "LICENSE", "PASSPORT"])


class Pseudonyms:
    """Gives names. `taken` tells whether a text stands in the document already, where it would mean another."""

    def __init__(self, style: Style = "plausible", taken: Callable[[str], bool] = lambda name: False) -> None:
        self._style: Style = style
        self._taken = taken
        self._names: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}

    def name(self, span: Span) -> str:
        """The pseudonym of a value; equal values share it, however they are grouped."""
        value = span.value.casefold() if span.kind in ("EMAIL", "SECRET", "WALLET") else re.sub(r"[\W_]+", "", span.value).casefold()
        key = (span.kind, value)
        if key not in self._names:
            self._names[key] = self._new(span)
        return self._names[key]

    def _new(self, span: Span) -> str:
        while True:
            number = self._counts[span.kind] = self._counts.get(span.kind, 0) + 1
            name = (_plausible(span, number) if self._style == "plausible" else "") or f"[{span.kind}_{number}]"
            if not self._taken(name):
                return name


def _plausible(span: Span, number: int) -> str:
    """The name with the form of the value, empty where there is none for so high a number."""
    if span.kind == "EMAIL":
        return f"person{number}@example.com"
    if span.kind == "PHONE" and number <= 79_900:
        return ("+1 " if span.value.lstrip("(").startswith("+") else "") + f"{201 + number // 100}-555-01{number % 100:02}"
    if span.kind == "IP" and ":" in span.value:
        return f"2001:db8::{number:x}"
    if span.kind == "IP" and number <= 254 * len(_NETWORKS):
        return f"{_NETWORKS[(number - 1) // 254]}.{(number - 1) % 254 + 1}"
    if span.kind == "MAC" and number < 256:
        separator = ":" if ":" in span.value else "-"
        return separator.join(["00", "00", "5E", "00", "53", f"{number:02X}"])
    return _zeros(span.value, number) if span.kind in _SHAPED else ""


def _zeros(value: str, number: int) -> str:
    """The value's own shape with zeros for digits, `X` for letters and the number at the end."""
    places = [place for place, character in enumerate(value) if character.isdigit()]
    counter = f"{number:03}"
    if len(places) < 4 or len(counter) > 3:
        return ""
    shape = ["0" if character.isdigit() else "X" if character.isalpha() else character for character in value]
    for place, digit in zip(places[-3:], counter, strict=True):
        shape[place] = digit
    name = "".join(shape)
    return name if is_placeholder(name) else ""
