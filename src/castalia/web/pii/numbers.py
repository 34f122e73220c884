"""Payment cards, bank accounts and numbers that states give to people: a form, then a check digit, then a cue where both are weak."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from castalia.web.pii.cues import CARD, NATIONAL, NOT_SSN, SSN, after, before, may_name_a_number
from castalia.web.pii.national import (
    is_aadhaar,
    is_bsn,
    is_chinese_id,
    is_cpf,
    is_curp,
    is_danish_cpr,
    is_dni,
    is_fiscal_code,
    is_german_tax_id,
    is_hetu,
    is_nhs,
    is_nino,
    is_nir,
    is_pan,
    is_pesel,
    is_published_ssn,
    is_social_security,
    is_swedish_id,
    is_vat,
)
from castalia.web.pii.spans import Span, matches
from castalia.web.pii.validators import is_card, is_iban, is_luhn, is_published_card, is_published_iban

_CARD = re.compile(r"(?<![\w.-])(?:\d{4}([ \u00a0-]?)\d{4}\1\d{4}\1\d{1,7}|3[47]\d{2}[ -]?\d{6}[ -]?\d{5})(?![\w-]|\.\d)")
_LONG = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){11,18}(?![\w-]|\.\d)")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]{4}){2,7}(?:[ -]?[A-Za-z0-9]{1,3})?(?![A-Za-z0-9])")
_SSN = re.compile(r"(?<![\w-])(?<!\d[.,])\d{3}([ .-]?)\d{2}\1\d{4}(?![\w-]|\.\d)")


class _Form(NamedTuple):
    """A national number: `cue` names the words it needs nearby, empty where form and check digits are enough."""

    name: str
    pattern: re.Pattern[str]
    holds: Callable[[str], bool]
    cue: str = ""


_FORMS = (
    _Form("cpf", re.compile(r"(?<![\w.-])\d{3}\.\d{3}\.\d{3}-\d{2}(?![\w-])"), is_cpf),
    _Form("cpf", re.compile(r"(?<![\w.-])\d{11}(?![\w-])"), is_cpf, "cpf"),
    _Form("nir", re.compile(r"(?<![\w-])[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?![\w-])"), is_nir),
    _Form("resident identity", re.compile(r"(?<!\w)[1-9]\d{5}(?:19|20)\d{9}[\dXx](?!\w)"), is_chinese_id),
    _Form("hetu", re.compile(r"(?<![\w-])\d{6}[-+A]\d{3}[0-9A-Y](?![\w-])"), is_hetu),
    _Form("dni", re.compile(r"(?<![\w-])(?:\d{8}|[XYZxyz]-?\d{7})-?[A-Za-z](?![\w-])"), is_dni, "dni"),
    _Form("codice fiscale", re.compile(r"(?<!\w)[A-Za-z]{6}\d{2}[A-EHLMPRSTa-ehlmprst]\d{2}[A-Za-z]\d{3}[A-Za-z](?!\w)"), is_fiscal_code),
    _Form("curp", re.compile(r"(?<!\w)[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d(?!\w)"), is_curp),
    _Form("nino", re.compile(r"(?<!\w)[A-Z]{2} \d\d \d\d \d\d [A-D](?!\w)"), is_nino),
    _Form("nino", re.compile(r"(?<!\w)[A-Za-z]{2}[ -]?\d\d[ -]?\d\d[ -]?\d\d[ -]?[A-Da-d](?!\w)"), is_nino, "nino"),
    _Form("pan", re.compile(r"(?<!\w)[A-Za-z]{5}\d{4}[A-Za-z](?!\w)"), is_pan, "pan"),
    _Form("aadhaar", re.compile(r"(?<![\w-])[2-9]\d{3}([ -]?)\d{4}\1\d{4}(?![\w-])"), is_aadhaar, "aadhaar"),
    _Form("steuer-id", re.compile(r"(?<![\w-])\d{2} ?\d{3} ?\d{3} ?\d{3}(?![\w-])"), is_german_tax_id, "steuer"),
    _Form("pesel", re.compile(r"(?<![\w-])\d{11}(?![\w-])"), is_pesel, "pesel"),
    _Form("nhs", re.compile(r"(?<![\w-])\d{3}([ -]?)\d{3}\1\d{4}(?![\w-])"), is_nhs, "nhs"),
    _Form("bsn", re.compile(r"(?<![\w-])\d{4}[ .]?\d{2}[ .]?\d{3}(?![\w-])"), is_bsn, "bsn"),
    _Form("sin", re.compile(r"(?<![\w-])\d{3}([ -]?)\d{3}\1\d{3}(?![\w-])"), is_luhn, "sin"),
    _Form("personnummer", re.compile(r"(?<![\w-])(?:\d{8}|\d{6})[-+]?\d{4}(?![\w-])"), is_swedish_id, "personnummer"),
    _Form("cpr", re.compile(r"(?<![\w-])\d{6}-?\d{4}(?![\w-])"), is_danish_cpr, "personnummer"),
    _Form("vat", re.compile(r"(?<!\w)[A-Za-z]{2}U?\d{8,12}(?!\w)"), is_vat, "vat"),
)
_TELLING = tuple(form for form in _FORMS if not form.cue)


def cards(text: str, start: int, end: int) -> Iterator[Span]:
    """Payment cards. One that is alone in code needs its groups, quotes or a cue to be certain: one number of ten passes a Luhn check."""
    for found in matches(_CARD, text, start, end):
        published = is_published_card(found[0])
        if published or is_card(found[0]):
            quoted = text[found.start() - 1 : found.start()] in ("'", '"') and text[found.end() : found.end() + 1] in ("'", '"')
            certain = quoted or not found[0].isdigit() or _cued(text, found, CARD)
            yield Span(found.start(), found.end(), "CARD", found[0], certain, published, "luhn")
    for found in matches(_LONG, text, start, end):
        if is_luhn(found[0]) and CARD.search(before(text, found.start(), 60)):
            yield Span(found.start(), found.end(), "CARD", found[0], True, is_published_card(found[0]), "luhn and cue")


def accounts(text: str, start: int, end: int) -> Iterator[Span]:
    """Bank accounts."""
    place, end = start, min(len(text), end + 30)  # a window has the first groups only
    while found := _IBAN.search(text, place, min(len(text), end + 3)):
        # Words behind an account look like more of its groups: the longest beginning whose remainder is 1 is the account.
        for cut in range(found.end(), found.start() + 14, -1):
            value = text[found.start() : cut]
            if value[-1].isalnum() and is_iban(value) and not text[cut : cut + 1].isalnum():
                yield Span(found.start(), cut, "IBAN", value, True, is_published_iban(value), "remainder by 97")
                place = cut
                break
        else:
            place = found.start() + 2


def social_security(text: str, start: int, end: int) -> Iterator[Span]:
    """Social security numbers of the United States. With hyphens a word that names something else rules
    one out, as there is no check digit; written otherwise a word must name it."""
    for found in matches(_SSN, text, start, end):
        if not is_social_security(found[0]):
            continue
        cued = _cued(text, found, SSN)
        if cued or (found[0][3] == "-" and not NOT_SSN.search(before(text, found.start()))):
            yield Span(found.start(), found.end(), "ID", found[0], False, is_published_ssn(found[0]), "cue" if cued else "form")


def national_numbers(text: str, start: int, end: int) -> Iterator[Span]:
    """Numbers of other states. Certain where the check digits need no cue."""
    # One look for all cues first: most windows have none, and most forms need one.
    named = may_name_a_number(text[max(0, start - 60) : end + 24])
    for form in _FORMS if named else _TELLING:
        for found in matches(form.pattern, text, start, end):
            # Digits of other scripts pass for `\d`, but no check digit is defined for them.
            if found[0].isascii() and form.holds(found[0]) and (not form.cue or _cued(text, found, NATIONAL[form.cue])):
                yield Span(found.start(), found.end(), "ID", found[0], not form.cue and form.name != "nino", False, form.name)


def _cued(text: str, found: re.Match[str], words: re.Pattern[str]) -> bool:
    return words.search(before(text, found.start(), 60)) is not None or words.search(after(text, found.end())) is not None
