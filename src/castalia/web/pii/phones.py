"""Telephone numbers.

With a plus sign the country's plan decides; the two written forms of North America are telling enough; any other grouping of
digits is a phone only where a word directly before or behind says so. What is named otherwise (ISBN, order, line) never is.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

import phonenumbers

from castalia.web.pii.cues import NOT_PHONE, PHONE_AFTER, PHONE_BEFORE, before, may_name_a_phone
from castalia.web.pii.spans import Span, is_placeholder, matches

_GAP = r"[ \u00a0\u2009\u202f.\-\u2010-\u2013/]"
_EXTENSION = r"(?:[ ,]{0,2}(?:x|ext\.?|extension|#)[ .:]{0,2}\d{1,6})?"
_JOIN = rf"(?:{_GAP}| [-–/] |(?=\()|(?<=\)))"
_NUMBER = re.compile(
    rf"(?<![\w$€£+])(?<!\d[.,:/-])(?:\(?\+)?\(?\d{{1,15}}\)?(?:{_JOIN}\(?\d{{1,12}}\)?){{0,7}}{_EXTENSION}(?![\w%])(?![.,:/-]\d)",
    re.IGNORECASE,
)
_AMERICAN = re.compile(r"(?:(?:\+|00)?1[ .-]?)?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}([.-]))\d{3}(?(1)\1|[ .-])\d{4}", re.IGNORECASE)
_TELLING = re.compile(r"\+|[2-9]\d\d[-.)]")
_FICTIONAL = re.compile(r"555\D?01\d\d\Z")
_DATE = re.compile(r"(?:19|20)\d\d([-/. ])\d{1,2}\1\d{1,2}|\d{1,2}([-/. ])\d{1,2}\2(?:19|20)\d\d|(?:19|20)\d\d ?[-–/] ?(?:19|20)?\d\d")
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:[. \u00a0]000)+")


def phones(text: str, start: int, end: int) -> Iterator[Span]:
    """Telephone numbers of a part of a text."""
    if not _TELLING.search(text, start, end) and not may_name_a_phone(text[max(0, start - 60) : end + 26]):
        return
    # A window of another kind may have ended within the number's first part; an extension stands behind it.
    for found in matches(_NUMBER, text, max(0, start - 8), min(len(text), end + 14)):
        value = _without_extension(found[0])
        count = sum(map(str.isdigit, value))
        if not 6 <= count <= 15 or is_placeholder(value):
            continue
        rule = _rule(text, found.start(), found.end(), value, count)
        if rule:
            yield Span(found.start(), found.end(), "PHONE", found[0], False, _FICTIONAL.search(value) is not None, rule)


def _rule(text: str, start: int, end: int, value: str, count: int) -> str:
    """What makes it a phone, empty when nothing does."""
    front = before(text, start)
    cued = may_name_a_phone(front) and PHONE_BEFORE.search(front) is not None
    found = _form(text, end, value, count, cued=cued)
    return "" if found and not cued and NOT_PHONE.search(front) else found


def _form(text: str, end: int, value: str, count: int, *, cued: bool) -> str:
    if value.lstrip("(").startswith("+"):
        plan = _in_plan(value)
        return "plan" if plan == "valid" or (plan == "possible" and (cued or count != len(value) - 1)) else ""
    # A hyphen and letters behind make a part number, unless the letters say what kind of phone it is.
    spoken = PHONE_AFTER.match(text, end) is not None
    if text[end : end + 1] in ("-", "_", "@") and text[end + 1 : end + 2].isalnum() and not spoken:
        return ""
    if _AMERICAN.fullmatch(value):
        return "form"
    if not (cued or spoken) or _DATE.fullmatch(value) or _ADDRESS.fullmatch(value) or _THOUSANDS.fullmatch(value):
        return ""
    return "cue"


def _without_extension(value: str) -> str:
    return re.split(r"[ ,]*(?:x|e|#)", value, maxsplit=1, flags=re.IGNORECASE)[0]


@lru_cache(maxsize=4096)
def _in_plan(value: str) -> str:
    """`valid` or `possible` by the numbering plan of its country code, empty for neither."""
    try:
        number = phonenumbers.parse("+" + re.sub(r"\D", "", value), None)
    except phonenumbers.NumberParseException:
        return ""
    if phonenumbers.is_valid_number(number):
        return "valid"
    return "possible" if phonenumbers.is_possible_number(number) else ""
