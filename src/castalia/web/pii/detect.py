"""Finds personal data: a pattern proposes, a validator decides.

What technical texts are full of is left alone: version numbers, addresses of reserved domains and networks, test card
numbers, numbers without a country code or a check digit. In code only what a check digit confirms counts: there a wrong
find would break something that is right.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import phonenumbers

from castalia.web.pii.validators import (
    is_card,
    is_chinese_id,
    is_cpf,
    is_dni,
    is_fiscal_code,
    is_hetu,
    is_iban,
    is_nir,
    is_social_security,
)


class Span(NamedTuple):
    """A piece of personal data. `certain` when a check digit confirms it."""

    start: int
    end: int
    kind: str
    value: str
    certain: bool


_RESERVED_DOMAIN = re.compile(
    r"(?:\A|\.)(?:example|test|invalid|localhost|local|internal|example\.(?:com|org|net|edu)|domain\.com|yourdomain\.com|company\.com|email\.com)\Z"
)
_FILE_LIKE = re.compile(r"\.(?:png|jpe?g|gif|svg|webp|py|js|ts|css|html?|json|ya?ml|md|txt|so|rs|go|java|rb|sh)\Z")
_ROLE = re.compile(r"\A(?:git|noreply|no-reply|donotreply|hg|svn|postmaster)\Z")
_EMAIL = re.compile(
    r"(?<![\w.+/@-])[A-Za-z0-9][\w.+%-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![\w@-])"
)
_CARD = re.compile(r"(?<![\w.-])(?:\d{4}[ -]?){3}\d{1,7}(?![\w-]|\.\d)|(?<![\w.-])3[47]\d{2}[ -]?\d{6}[ -]?\d{5}(?![\w-]|\.\d)")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:){2,7}(?::?[0-9A-Fa-f]{1,4}){1,6}(?![\w:.])")
_SSN = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
_DNI = re.compile(r"(?<![\w-])(?:\d{8}|[XYZ]\d{7})-?[A-Z](?![\w-])")
_CPF = re.compile(r"(?<![\w.-])\d{3}\.\d{3}\.\d{3}-\d{2}(?![\w-])")
_FISCAL_CODE = re.compile(r"(?<!\w)[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z](?!\w)")
_NIR = re.compile(r"(?<![\w-])[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?![\w-])")
_CHINESE_ID = re.compile(r"(?<!\w)[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX](?!\w)")
_HETU = re.compile(r"(?<![\w-])\d{6}[-+A]\d{3}[0-9A-Y](?![\w-])")
_ID_WORDS = re.compile(r"\b(?:ssn|social security|soc\.? sec)", re.IGNORECASE)
_DNI_WORDS = re.compile(r"\b(?:dni|nie|nif|documento)\b", re.IGNORECASE)
_VERSION_BEFORE = re.compile(r"(?:\bv|version|release|build|python|section|chapter|§|==|>=|<=|~=)\s*\Z", re.IGNORECASE)
_ADDRESS_BEFORE = re.compile(r"\b(?:ip|ips|address|host|server|from|client|peer|ping)\b[^.\n]{0,40}\Z", re.IGNORECASE)
_PHONE_HINT = re.compile(r"\+\d|\(\d{3}\)|\b\d{3}[ .-]\d{3}[ .-]\d{4}\b")
_US_PHONE = re.compile(r"\(\d{3}\) ?\d{3}[-. ]\d{4}|^\d{3}[-.]\d{3}[-.]\d{4}$")
_FICTIONAL_PHONE = re.compile(r"555\D?01\d\d\Z")
_PUBLIC_RESOLVERS = frozenset(["8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "208.67.222.222", "208.67.220.220"])


_CODE = re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)  # a span or a fence, closed by as many backticks (CommonMark 6.1, 4.5)


def find_personal_data(text: str, *, code: bool = False) -> list[Span]:
    """Non-overlapping spans in order of their start; where two overlap, the certain one and then the longer one stays.

    With `code`, and between backticks, only spans that a check digit confirms.
    """
    if not any(character.isdigit() or character == "@" for character in text):
        return []
    found = [span for span in _all_spans(text) if span.certain or not (code or _in_code(text, span))]
    spans = sorted(found, key=lambda span: (not span.certain, span.start - span.end, span.start))
    kept: list[Span] = []
    for span in spans:
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return sorted(kept)


def _in_code(text: str, span: Span) -> bool:
    return any(found.start() < span.end and span.start < found.end() for found in _CODE.finditer(text))


def _all_spans(text: str) -> Iterator[Span]:
    yield from _matches(text, _EMAIL, "EMAIL", lambda found: _is_personal_email(found[0]), certain=False)
    yield from _matches(text, _CARD, "CARD", lambda found: is_card(found[0]), certain=True)
    yield from _matches(text, _IBAN, "IBAN", lambda found: is_iban(found[0]), certain=True)
    yield from _matches(text, _IPV4, "IP", lambda found: _is_personal_ipv4(text, found), certain=False)
    yield from _matches(text, _IPV6, "IP", lambda found: _is_personal_ipv6(found[0]), certain=False)
    yield from _matches(text, _SSN, "ID", lambda found: is_social_security(found[0]) and _near(text, found, _ID_WORDS), certain=False)
    yield from _matches(text, _DNI, "ID", lambda found: is_dni(found[0]) and _near(text, found, _DNI_WORDS), certain=False)
    yield from _matches(text, _CPF, "ID", lambda found: is_cpf(found[0]), certain=True)
    yield from _matches(text, _FISCAL_CODE, "ID", lambda found: is_fiscal_code(found[0]), certain=True)
    yield from _matches(text, _NIR, "ID", lambda found: is_nir(found[0]), certain=True)
    yield from _matches(text, _CHINESE_ID, "ID", lambda found: is_chinese_id(found[0]), certain=True)
    yield from _matches(text, _HETU, "ID", lambda found: is_hetu(found[0]), certain=True)
    if _PHONE_HINT.search(text):
        yield from _phones(text)


def _matches(text: str, pattern: re.Pattern[str], kind: str, holds: Callable[[re.Match[str]], bool], *, certain: bool) -> Iterator[Span]:
    for found in pattern.finditer(text):
        if holds(found):
            yield Span(found.start(), found.end(), kind, found[0], certain)


def _near(text: str, found: re.Match[str], words: re.Pattern[str]) -> bool:
    return words.search(text, max(0, found.start() - 60), min(len(text), found.end() + 30)) is not None


def _is_personal_email(address: str) -> bool:
    name, _, domain = address.lower().rpartition("@")
    return not (_RESERVED_DOMAIN.search(domain) or _FILE_LIKE.search(domain) or _ROLE.match(name))


def _is_personal_ipv4(text: str, found: re.Match[str]) -> bool:
    try:
        address = ipaddress.IPv4Address(found[0])
    except ValueError:
        return False
    if not address.is_global or address.is_multicast or found[0] in _PUBLIC_RESOLVERS:
        return False
    before = text[max(0, found.start() - 60) : found.start()]
    if _VERSION_BEFORE.search(before):
        return False
    looks_like_version = all(part < 40 for part in address.packed)
    return not looks_like_version or _ADDRESS_BEFORE.search(before) is not None


def _is_personal_ipv6(text: str) -> bool:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return address.is_global and int(address) >> 125 == 1 and text.count(":") >= 3  # 2000::/3, the only range given out


def _phones(text: str) -> Iterator[Span]:
    strict = phonenumbers.Leniency.STRICT_GROUPING
    for region, leniency in ((None, phonenumbers.Leniency.VALID), ("US", strict)):
        for match in phonenumbers.PhoneNumberMatcher(text, region, leniency=leniency):
            raw = match.raw_string
            written_as_phone = raw.lstrip("(").startswith("+") or _US_PHONE.search(raw)
            if written_as_phone and not _FICTIONAL_PHONE.search(raw):
                yield Span(match.start, match.end, "PHONE", raw, certain=False)
