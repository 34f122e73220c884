"""Numbers of papers and dates of birth: forms that anything could have, so a cue directly before must say what they are."""

import re
from collections.abc import Iterator

from castalia.web.pii.cues import BIRTH, before
from castalia.web.pii.spans import Span, is_placeholder, matches

_JOIN = (
    r"(?:['’]?s)?(?:[ ,]{1,2}(?:card|book|id))?(?:[ ,-]{1,2}(?:number|numbers|no|nr|num|#|nummer|número|numero|numéro)\.?)?"
    r"(?:[ ]{0,2}(?:is|was|:|=|#|-|,)){0,2}[ \"'(]{0,2}"
)
_VALUE = r"(?P<value>(?=[A-Za-z0-9-]*\d{3})[A-Za-z0-9](?:-?[A-Za-z0-9]){4,19})(?!\w|[-.]\w)"
_PASSPORT = re.compile(rf"(?<![^\W\d_])(?:passport|passeport|reisepass|pasaporte|passaporto){_JOIN}{_VALUE}", re.IGNORECASE)
_LICENSE = re.compile(
    r"(?<![^\W\d_])(?:driv(?:er|ing)(?:['’]?s['’]?|[- ])?[ -]?(?:licen[cs]es?|permit)"
    r"|licen[cs]ia de conducir|f[üu]e?hrerschein|permis de conduire|patente di guida)"
    rf"{_JOIN}{_VALUE}",
    re.IGNORECASE,
)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|januar|märz|mai|juni|juli|okt|dez)[a-zé]{0,7}\.?"
_DATE = re.compile(
    rf"(?<![\w/-])(?:(?:18|19|20)\d\d[-/.]\d{{1,2}}[-/.]\d{{1,2}}|\d{{1,2}}[-/.]\d{{1,2}}[-/.](?:(?:18|19|20)\d\d|\d\d)"
    rf"|\d{{1,2}}(?:st|nd|rd|th|\.)? (?:of )?{_MONTH},? (?:18|19|20)\d\d|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? (?:18|19|20)\d\d)(?![\w/-])",
    re.IGNORECASE,
)


def papers(text: str, start: int, end: int) -> Iterator[Span]:
    """Passports and driving licences."""
    for pattern, kind in ((_PASSPORT, "PASSPORT"), (_LICENSE, "LICENSE")):
        for found in matches(pattern, text, max(0, start - 24), end):
            if not is_placeholder(found["value"]) and not re.fullmatch(r"(?:19|20)\d\d(?:-\d\d){0,2}", found["value"]):
                yield Span(found.start("value"), found.end("value"), kind, found["value"], False, rule="cue")


def births(text: str, start: int, end: int) -> Iterator[Span]:
    """Dates of birth."""
    for found in matches(_DATE, text, start, min(len(text), end + 28)):  # a window may end with the day
        if BIRTH.search(before(text, found.start())):
            yield Span(found.start(), found.end(), "BIRTH_DATE", found[0], False, rule="cue")
