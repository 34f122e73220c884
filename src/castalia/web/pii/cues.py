# pyright: basic
"""Words near a value that say what it is. A cue stands on the line of the value, or on the one before."""

import re

import re2

PHONE_BEFORE = re.compile(
    r"(?:(?<![^\W\d_])(?:(?:tele)?phones?(?: (?:no|numbers?|nr|#))?|tel|telefon[eo]?|teléfono|téléphone|telefoon|mobil[ei]?|móvil|portable|cell(?:ulare)?"
    r"|handy|fax|pager|whatsapp|sms|hotline|helpline|desk|main line|landline|callback|call(?:ing|ed)?(?: (?:me|us|him|her|them|now|at|on|to))*"
    r"|dial(?:ing)?|text (?:me|us)(?: at)?|reach(?:ed|able)?(?: \w+)? (?:at|on)|answer(?:s|ing|ed)? (?:at|on)|contact(?: (?:number|no|us))?(?: (?:at|on))?"
    r"|(?:my|his|her|their|our|your) number(?:['’]s)?|ph|rufnummer|тел(?:ефон)?)(?![^\W\d_])|電話|电话|手机|携帯)"
    r"[\s.:：#=\"'()*,/|-]{0,6}(?:(?:is|at|on|number|no|nr|to)[\s.:#]{1,3}){0,2}[\s+(]*\Z",
    re.IGNORECASE,
)
PHONE_AFTER = re.compile(
    r"[ \t,(:/-]{0,3}(?:office|fax|mobile|cell|home|work|direct|tel|phone|landline|handy|voice)(?![a-z])", re.IGNORECASE
)
NOT_PHONE = re.compile(
    r"(?:\b(?:isbn(?:-1[03])?|issn|doi|order|part|sku|serial|model|invoice|item|product|catalog(?:ue)?|ref(?:erence)?|ticket|case|issue|bug|patent"
    r"|version|commit|build|revision|release|rfc|line|lines|pages?|pp|lat(?:itude)?|lon(?:gitude)?|zip|account|acct|tracking|upc|ean|gtin|asin|oclc|pmid"
    r"|arxiv|population|code|id|coordinates"
    r"|timestamp|port|room|fig(?:ure)?|size|vol(?:ume)?|no\. of|copyright|©)s?\b(?: (?:number|no|code|id|nr))?[\s.:#=]{0,3}|[$€£¥#§]\s?)\Z",
    re.IGNORECASE,
)
SSN = re.compile(r"\b(?:ssns?|social[ -]?sec\w*|soc\.? ?sec|taxpayer|itin)\b", re.IGNORECASE)
NOT_SSN = re.compile(
    r"\b(?:part|order|sku|serial|model|isbn|issn|invoice|item|product|case|ticket|ref(?:erence)?|cas|rfc|doi|zip|phone|tel|fax)\b[^\n]{0,12}\Z",
    re.IGNORECASE,
)
CARD = re.compile(
    r"(?<![a-z])(?:cards?|visa|master ?card|amex|american express|credit|debit|cc|pan|payment|karte|carte|tarjeta|carta)(?![a-z])",
    re.IGNORECASE,
)
NATIONAL = {
    "dni": re.compile(r"(?<![a-z])(?:dni|nie|nif|documento)(?![a-z])", re.IGNORECASE),
    "nino": re.compile(r"(?<![a-z])(?:nino|ni (?:number|no)|national insurance)(?![a-z])", re.IGNORECASE),
    "steuer": re.compile(r"(?<![a-z])(?:steuer-?id\w*|steuerliche\w*|idnr|tin|tax id\w*|steuernummer)(?![a-z])", re.IGNORECASE),
    "bsn": re.compile(r"(?<![a-z])(?:bsn|burgerservicenummer|sofinummer)(?![a-z])", re.IGNORECASE),
    "pesel": re.compile(r"(?<![a-z])pesel(?![a-z])", re.IGNORECASE),
    "aadhaar": re.compile(r"(?<![a-z])(?:aadhaa?r|uidai|uid)(?![a-z])", re.IGNORECASE),
    "pan": re.compile(r"(?<![a-z])(?:pan|permanent account|income tax)(?![a-z])", re.IGNORECASE),
    "nhs": re.compile(r"(?<![a-z])nhs(?![a-z])", re.IGNORECASE),
    "sin": re.compile(r"(?<![a-z])(?:sin|social insurance|nas)(?![a-z])", re.IGNORECASE),
    "cpf": re.compile(r"(?<![a-z])cpf(?![a-z])", re.IGNORECASE),
    "nir": re.compile(r"(?<![a-z])(?:nir|insee|s[ée]curit[ée] sociale)(?![a-z])", re.IGNORECASE),
    "vat": re.compile(r"(?<![a-z])(?:vat|ust\.?-?id\w*|umsatzsteuer\w*|tva|iva|btw|mwst|nip|cif)(?![a-z])", re.IGNORECASE),
    "personnummer": re.compile(
        r"(?<![a-z])(?:personnummer|person(?:al)? (?:identity )?number|f[øo]dselsnummer|cpr)(?![a-z])", re.IGNORECASE
    ),
}
VERSION_BEFORE = re.compile(
    r"(?:(?<![a-z])(?:v|ver|version|versions|release|build|python|section|chapter|fig(?:ure|\.)?|room|clause|firmware|driver)|§|==|>=|<=|~=|\^)[\s:=]{0,2}\Z",
    re.IGNORECASE,
)
ADDRESS_BEFORE = re.compile(
    r"(?<![a-z])(?:ips?|ipv4|address(?:es)?|hosts?|servers?|nodes?|from|clients?|peers?|ping|gateway|dns|subnet|router)(?![a-z])[^.\n]{0,40}\Z",
    re.IGNORECASE,
)
BIRTH = re.compile(
    r"(?<![a-z])(?:birth(?:day|date)?|born|d\.?o\.?b|geb(?:oren|urtsdatum)?|naissance|née? le|nacimiento|nacid[oa]|nascita|nascimento)(?![a-z])[^\n]{0,24}\Z",
    re.IGNORECASE,
)


def may_name_a_phone(text: str) -> bool:
    """Whether a text holds a part of a word of `PHONE_BEFORE` or `PHONE_AFTER`; cheap, and never wrong when it says no."""
    return _PHONE_STEMS.search(text.encode("utf-8", "replace")) is not None


def may_name_a_number(text: str) -> bool:
    """The same for all words of `NATIONAL`."""
    return _NATIONAL_STEMS.search(text.encode("utf-8", "replace")) is not None


def _stems(words: str) -> "re2._Regexp":
    options = re2.Options()
    options.case_sensitive = False
    options.never_capture = True
    return re2.compile("|".join(words.split()).encode(), options)


_PHONE_STEMS = _stems(
    "phon fon fono fone tel tél fax mobil móvil portable cell handy pager whatsapp sms line desk call dial text reach answer contact number ph ruf тел "
    "office home work direct voice 電話 电话 手机 携帯"
)
_NATIONAL_STEMS = _stems(
    "dni nie nif documento nino ni.n insurance steuer idnr tin tax bsn burger sofi pesel aadh uid pan permanent nhs sin nas cpf nir insee "
    "sociale vat ust tva iva btw mwst nip cif person number dselsnummer cpr"
)


def before(text: str, start: int, reach: int = 48) -> str:
    """What stands before a place, at most `reach` characters, on its line or the one before it."""
    part = text[max(0, start - reach) : start]
    lines = part.splitlines(keepends=True)
    return "".join(lines[-2:]) if len(lines) < 2 or lines[-2].strip() else lines[-1]


def after(text: str, end: int, reach: int = 24) -> str:
    """What stands behind a place on its line, at most `reach` characters."""
    return text[end : end + reach].partition("\n")[0]
