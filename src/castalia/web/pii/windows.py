# pyright: basic
"""Where personal data could be: one pass of one automaton over the bytes of a text.

RE2 never backtracks, so no text is slow, and a text without candidates costs about a nanosecond a character. What it
proposes is loose on purpose; rules that read a candidate's surroundings decide.
"""

from collections.abc import Iterator
from typing import NamedTuple

import re2

_GAP = rb"(?:[ \t./()-]|\xc2\xa0|\xe2\x80[\x89\x90-\x94\xaf]){0,3}"  # also no-break and thin spaces, hyphens and dashes
_PATTERN = b"|".join(
    [
        rb"[A-Za-z0-9._%+'\x80-\xff-]+@[A-Za-z0-9\x80-\xff]",
        rb"\b[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]{4}){2}",  # IBAN
        rb"\b[A-Za-z]{2}[ -]?\d\d[ -]?\d\d[ -]?\d\d[ -]?[A-Da-d]\b",  # United Kingdom: NINO
        rb"\b[A-Za-z]{6}\d\d[A-Za-z]\d\d[A-Za-z]\d{3}[A-Za-z]\b",  # Italy: codice fiscale
        rb"\b[A-Za-z]{4}\d{6}[HMhm][A-Za-z]{5}[A-Za-z0-9]\d\b",  # Mexico: CURP
        rb"\b[A-Za-z]{5}\d{4}[A-Za-z]\b",  # India: PAN
        rb"\b[XYZxyz]-?\d{7}-?[A-Za-z]\b",  # Spain: NIE
        rb"\b[A-Za-z]{2}U?\d{8,12}\b",  # European VAT numbers
        rb"\b\d{1,3}(?:\.\d{1,3}){3}\b",
        rb"[+(]{0,2}\d(?:" + _GAP + rb"\d){5,}",
        rb"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*",
        rb"\b[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}\b|\b[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\b",
        rb"(?i:passport|passeport|reisepass|pasaporte|passaporto|licen[cs]e|permit|f\xc3\xbchrerschein|permis de conduire)[^\n]{0,24}?\d{3}",
        rb"(?i:birth|\bborn\b|\bd\.?o\.?b\b|geb(?:oren|urtsdatum|\.)|naissance|n\xc3\xa9e? le|nacimiento|nascita|nascimento)[^\n]{0,16}?\d",
        rb"\b0x[0-9A-Fa-f]{40}\b|\bbc1[0-9a-z]{25,}\b|\b[13][1-9A-HJ-NP-Za-km-z]{25,34}\b",  # wallets
        rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[opsur]_[A-Za-z0-9]{36}|\bgithub_pat_\w{22}|\bglpat-[\w-]{20}|\bsk-[\w-]{20}",
        rb"\b(?:sk|rk|pk)_live_[A-Za-z0-9]{16}|\bxox[abeoprs]-[\w-]{10}|\bAIza[\w-]{35}|\bnpm_[A-Za-z0-9]{36}|\bhf_[A-Za-z0-9]{30}",
        rb"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.|-----BEGIN [A-Z ]{0,24}PRIVATE KEY-----",
    ]
)
_MARGIN = 64
_CONTINUATION = bytes(range(0x80, 0xC0))


class Window(NamedTuple):
    """A candidate, in characters, widened to the ends of its words."""

    start: int
    end: int


def windows(text: str) -> Iterator[Window]:
    """Candidates in order. They may touch or overlap where words are joined."""
    encoded = text.encode("utf-8", "surrogatepass")
    ascii_only = len(encoded) == len(text)
    at = characters = 0  # the same place, in bytes and in characters
    for found in _AUTOMATON.finditer(encoded):
        start, end = found.span()
        if not ascii_only:
            characters += _length(encoded, at, start)
            at, start = start, characters
            end = start + _length(encoded, at, end)
        yield Window(_left(text, start), _right(text, end))


def _length(encoded: bytes, start: int, end: int) -> int:
    """Characters that begin in a part of UTF-8."""
    return len(encoded[start:end].translate(None, _CONTINUATION))


def _left(text: str, start: int) -> int:
    stop = max(0, start - _MARGIN)
    while start > stop and (text[start - 1].isalnum() or text[start - 1] in "_.:@+-%"):
        start -= 1
    return start


def _right(text: str, end: int) -> int:
    stop = min(len(text), end + 4 * _MARGIN)
    while end < stop and (text[end].isalnum() or text[end] in "_.:@+-%"):
        end += 1
    return end


def _automaton() -> "re2._Regexp":
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = True
    return re2.compile(_PATTERN, options)


_AUTOMATON = _automaton()
