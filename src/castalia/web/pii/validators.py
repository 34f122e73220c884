"""Check digits and forms of payment cards and bank accounts."""

import re

_TEST_CARDS = frozenset(
    [
        "4111111111111111",
        "4242424242424242",
        "4012888888881881",
        "4000056655665556",
        "4222222222222",
        "5555555555554444",
        "5105105105105100",
        "5200828282828210",
        "2223003122003222",
        "378282246310005",
        "371449635398431",
        "6011111111111117",
        "6011000990139424",
        "30569309025904",
        "38520000023237",
        "3530111333300000",
        "3566002020360505",
    ]
)
_ISSUER = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}"
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12,15}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}"
)
_SAMPLE_IBANS = frozenset(["DE89370400440532013000", "GB82WEST12345698765432", "GB29NWBK60161331926819", "FR1420041010050500013M02606"])
_IBAN_LENGTHS = {
    **{"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "CH": 21, "CR": 22, "CY": 28},
    **{"CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23},
    **{"GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20},
    **{"LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30},
    **{"NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24, "SI": 19},
    **{"SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20},
}


def is_card(text: str) -> bool:
    """A payment card: known issuer prefix and Luhn check digit."""
    digits = re.sub(r"\D", "", text)
    return _ISSUER.fullmatch(digits) is not None and is_luhn(digits)


def is_published_card(text: str) -> bool:
    """A number that payment services publish for tests, or a valid one that is mostly zeros or has only two digits."""
    digits = re.sub(r"\D", "", text)
    return digits in _TEST_CARDS or ((len(set(digits)) < 3 or "00000000" in digits) and is_card(digits))


def is_luhn(text: str) -> bool:
    """Digits of which the last is the check digit of ISO/IEC 7812-1."""
    digits = [int(character) for character in reversed(text) if character.isdigit()]
    doubled = sum(digit * 2 - (9 if digit > 4 else 0) for digit in digits[1::2])
    return len(set(digits)) > 1 and (sum(digits[::2]) + doubled) % 10 == 0


def is_iban(text: str) -> bool:
    """An IBAN: length of its country and remainder 1 by 97 (ISO 13616)."""
    compact = re.sub(r"[ -]", "", text).upper()
    if not compact.isascii() or _IBAN_LENGTHS.get(compact[:2]) != len(compact):
        return False
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1


def is_published_iban(text: str) -> bool:
    """An account of the standard's own examples."""
    return re.sub(r"[ -]", "", text).upper() in _SAMPLE_IBANS
