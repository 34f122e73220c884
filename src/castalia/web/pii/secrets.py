"""What opens or pays: keys and tokens by the prefixes that issuers gave them for this purpose, wallets by their check sums."""

import hashlib
import re
from collections.abc import Iterator

from castalia.web.pii.spans import Span

_SECRET = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:AKIA|ASIA)[A-Z0-9]{16}|gh[opsur]_[A-Za-z0-9]{36,255}|github_pat_\w{22,255}|glpat-[\w-]{20,64}|npm_[A-Za-z0-9]{36}|hf_[A-Za-z0-9]{30,40}"
    r"|sk-(?:[a-z]{2,8}-(?:v1-)?)?[A-Za-z0-9_-]{20,200}|[srp]k_live_[A-Za-z0-9]{16,247}|xox[abeoprs]-[A-Za-z0-9-]{10,250}|AIza[\w-]{35}"
    r"|eyJ[\w-]{8,4096}\.eyJ[\w-]{8,4096}\.[\w-]{8,4096})(?![A-Za-z0-9])"
)
_KEY = re.compile(
    r"-----BEGIN ([A-Z ]{0,24}PRIVATE KEY)-----(?:[A-Za-z0-9+/=\s\\,:-]{64,16384}?-----END \1-----"
    r"|\s{0,4}(?:[A-Za-z0-9+/=]{40,128}\s{1,4}){1,300}[A-Za-z0-9+/=]{0,128})"  # cut off before its end
)
_PREFIX = re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA|gh[opsur]_|github_pat_|glpat-|npm_|hf_|sk-|[srp]k_live_|xox|AIza|eyJ)|-----BEGIN ")
_SAMPLE = re.compile(r"EXAMPLE|(?i:x{6}|your|dummy|redacted|placeholder|test[_-]?key|12345678|abcdefgh)|0{6}|(.)\1{7}")
_ETHEREUM = re.compile(r"(?<!\w)0x[0-9A-Fa-f]{40}(?!\w)")
_BITCOIN = re.compile(r"(?<!\w)(?:[13][1-9A-HJ-NP-Za-km-z]{25,34}|bc1[02-9ac-hj-np-z]{11,71})(?!\w)")
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def secrets(text: str, start: int, end: int) -> Iterator[Span]:
    """Keys and tokens that begin in a part of a text. Certain: their forms were made to be recognized."""
    for prefix in _PREFIX.finditer(text, start, end):
        block = _KEY.match(text, prefix.start())
        token = None if block else _SECRET.match(text, prefix.start())
        found = block or token
        if found and (block or (re.search(r"\d", found[0]) and len(set(found[0])) > 8)):
            rule = "key block" if block else "issuer prefix"
            yield Span(found.start(), found.end(), "SECRET", found[0], True, _SAMPLE.search(found[0]) is not None, rule)


def wallets(text: str, start: int, end: int) -> Iterator[Span]:
    """Addresses of Bitcoin by check sum (Base58Check; BIP 173, BIP 350), of Ethereum by form."""
    for found in _BITCOIN.finditer(text, start, min(len(text), end + 3)):
        if _base58_holds(found[0]) if found[0][0] in "13" else _bech32_holds(found[0]):
            yield Span(found.start(), found.end(), "WALLET", found[0], True, rule="check sum")
    for found in _ETHEREUM.finditer(text, start, min(len(text), end + 3)):
        if len(set(found[0][2:].lower())) > 6:
            yield Span(found.start(), found.end(), "WALLET", found[0], False)


def _base58_holds(value: str) -> bool:
    number = 0
    for character in value:
        number = number * 58 + _BASE58.index(character)
    if number >> 200:
        return False
    raw = number.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]


def _bech32_holds(value: str) -> bool:
    check = 1
    for part in (
        *(ord(character) >> 5 for character in "bc"),
        0,
        *(ord(character) & 31 for character in "bc"),
        *map(_BASE32.index, value[3:]),
    ):
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ part
        for place, factor in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= factor if top >> place & 1 else 0
    return check in (1, 0x2BC830A3)
