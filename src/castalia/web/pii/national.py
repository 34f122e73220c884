"""Check digits of numbers that states give to people and firms. Each function names its number and whose rule it is."""

import re
from collections.abc import Sequence
from datetime import date

_CODE = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21)
_ODD_LETTERS = (*_ODD, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
_D5 = (
    "0123456789",
    "1234067895",
    "2340178956",
    "3401289567",
    "4012395678",
    "5987604321",
    "6598710432",
    "7659821043",
    "8765932104",
    "9876543210",
)
_TURN = ("0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258")


def is_social_security(text: str) -> bool:
    """A social security number of the United States that can have been issued (no area 000, 666 or 9xx; no zero part)."""
    digits = re.sub(r"\D", "", text)
    return digits[:3] not in ("000", "666") and digits < "9" and digits[3:5] != "00" and digits[5:] != "0000"


def is_published_ssn(text: str) -> bool:
    """A number printed in advertisements, or counted up."""
    return re.sub(r"\D", "", text) in ("078051120", "219099999", "123456789")


def is_dni(text: str) -> bool:
    """A Spanish DNI or NIE by its letter."""
    compact = text.replace("-", "").upper()
    number = int(compact[:-1].translate(str.maketrans("XYZ", "012")))
    return number > 9999 and "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23] == compact[-1]


def is_cpf(text: str) -> bool:
    """A Brazilian CPF by its two check digits."""
    digits = _digits(text)
    if len(digits) != 11 or len(set(digits)) == 1:
        return False
    return all(_weighted(digits[:size], range(size + 1, 1, -1)) * 10 % 11 % 10 == digits[size] for size in (9, 10))


def is_fiscal_code(text: str) -> bool:
    """An Italian codice fiscale by its check letter (DM 23/12/1976)."""
    total = 0
    for place, character in enumerate(text[:15].upper()):
        value = _CODE.index(character)
        if place % 2 == 0:
            total += _ODD_LETTERS[value if value < 10 else value - 10]
        else:
            total += value if value < 10 else value - 10
    return chr(ord("A") + total % 26) == text[15].upper()


def is_nir(text: str) -> bool:
    """A French NIR by its key."""
    compact = text.replace(" ", "").replace("2A", "19").replace("2B", "18")
    return len(compact) == 15 and 97 - int(compact[:13]) % 97 == int(compact[13:])


def is_chinese_id(text: str) -> bool:
    """A Chinese resident identity number: a real date of birth and the check digit of ISO 7064 MOD 11-2."""
    if not _is_date(text[6:10], text[10:12], text[12:14]):
        return False
    total = _weighted(_digits(text[:17]), (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2))
    return "10X98765432"[total % 11] == text[17].upper()


def is_hetu(text: str) -> bool:
    """A Finnish personal identity code: a real date of birth and the check character."""
    century = {"+": "18", "-": "19", "A": "20"}[text[6]]
    if not _is_date(century + text[4:6], text[2:4], text[0:2]):
        return False
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(text[:6] + text[7:10]) % 31] == text[10]


def is_nino(text: str) -> bool:
    """A British national insurance number: no letter or pair of letters that is never given (HMRC NIM39110)."""
    compact = re.sub(r"[ -]", "", text).upper()
    return compact[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ") and not set(compact[:2]) & set("DFIQUV") and compact[1] != "O"


def is_pan(text: str) -> bool:
    """An Indian permanent account number: its fourth letter says what kind of holder."""
    return text[3].upper() in "ABCFGHJLPT"


def is_aadhaar(text: str) -> bool:
    """An Indian Aadhaar number by its check digit (Verhoeff 1969)."""
    check = 0
    for place, digit in enumerate(reversed(_digits(text))):
        check = int(_D5[check][int(_TURN[place % 8][digit])])
    return check == 0


def is_german_tax_id(text: str) -> bool:
    """A German Steuer-ID: ISO 7064 MOD 11, 10; among ten digits one comes twice or thrice."""
    digits = _digits(text)
    repeats = [digits[:10].count(digit) for digit in set(digits[:10])]
    return len(digits) == 11 and digits[0] != 0 and max(repeats) in (2, 3) and _mod_11_10(digits)


def is_curp(text: str) -> bool:
    """A Mexican CURP by its check digit (RENAPO)."""
    alphabet = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
    total = _weighted([alphabet.index(character) for character in text[:17]], range(18, 1, -1))
    return str(-total % 10) == text[17]


def is_bsn(text: str) -> bool:
    """A Dutch burgerservicenummer by its weighted sum."""
    digits = _digits(text)
    return len(digits) == 9 and any(digits) and _weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def is_pesel(text: str) -> bool:
    """A Polish PESEL: a month of one of five centuries and the check digit."""
    digits = _digits(text)
    return int(text[2:4]) % 20 in range(1, 13) and -_weighted(digits[:10], (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10 == digits[10]


def is_nhs(text: str) -> bool:
    """A number of the British NHS by its check digit."""
    digits = _digits(text)
    return 11 - _weighted(digits[:9], range(10, 1, -1)) % 11 == (digits[9] or 11)


def is_swedish_id(text: str) -> bool:
    """A Swedish personnummer: a date of birth and the Luhn digit of the last ten."""
    digits = "".join(map(str, _digits(text)))[-10:]
    day = int(digits[4:6]) % 60
    total = sum(int(character) for place, digit in enumerate(digits) for character in str(int(digit) * (2 - place % 2)))
    return 1 <= int(digits[2:4]) <= 12 and 1 <= day <= 31 and total % 10 == 0


def is_danish_cpr(text: str) -> bool:
    """A Danish CPR number: a day and a month. Check digits are no longer kept to, so the cue counts."""
    return 1 <= int(text[:2]) <= 31 and 1 <= int(text[2:4]) <= 12


def is_vat(text: str) -> bool:
    """A VAT number of the European Union: its country's length, for Germany also ISO 7064 MOD 11, 10."""
    country, rest = text[:2].upper(), text[2:].upper()
    lengths = {"BE": (10,), "DE": (9,), "DK": (8,), "EE": (9,), "EL": (9,), "FI": (8,), "HR": (11,), "HU": (8,), "IT": (11,), "LU": (8,)}
    lengths |= {"LT": (9, 12), "LV": (11,), "MT": (8,), "PL": (10,), "PT": (9,), "RO": (8, 9, 10), "SE": (12,), "SI": (8,), "SK": (10,)}
    lengths |= {"BG": (9, 10), "CZ": (8, 9, 10), "GB": (9, 12), "FR": (11,)}
    return (country == "AT" and re.fullmatch(r"U\d{8}", rest) is not None) or (rest.isdigit() and len(rest) in lengths.get(country, ()))


def _digits(text: str) -> list[int]:
    return [int(character) for character in text if character.isdigit()]


def _weighted(digits: Sequence[int], weights: Sequence[int]) -> int:
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=True))


def _mod_11_10(digits: Sequence[int]) -> bool:
    check = 10
    for digit in digits[:-1]:
        check = ((check + digit) % 10 or 10) * 2 % 11
    return (11 - check) % 10 == digits[-1]


def _is_date(year: str, month: str, day: str) -> bool:
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True
