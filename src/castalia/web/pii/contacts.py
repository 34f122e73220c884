"""Mail and web addresses."""

import re
from collections.abc import Iterator

from castalia.web.pii.spans import Span, matches

_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_EMAIL = re.compile(
    rf"(?<![A-Za-z0-9.+/@%_-])[A-Za-z0-9][A-Za-z0-9.+%_'-]{{0,63}}@(?:{_LABEL}\.){{1,8}}(?:[^\W\d_]{{2,24}}|xn--[A-Za-z0-9-]{{2,59}})(?![^\W\d_]|[@_])"
)
_WIDE_EMAIL = re.compile(rf"(?<![\w.+/@%-])[^\W_][\w.+%'-]{{0,63}}@(?:{_LABEL}\.){{1,8}}[^\W\d_]{{2,24}}(?![^\W\d_]|[@_])")
_NEXT_SENTENCE = re.compile(r"\.[A-Z][a-z]+\Z")  # `ann@corp.io.The`: a space was lost
_RESERVED_DOMAIN = re.compile(
    r"(?:\A|\.)(?:example|test|invalid|localhost|local|internal|example\.(?:com|org|net|edu)|domain\.com|yourdomain\.com|company\.com|email\.com)\Z"
)
_FILE_LIKE = re.compile(r"\.(?:png|jpe?g|gif|svg|webp|py|js|ts|css|html?|json|ya?ml|md|txt|so|rs|go|java|rb|sh)\Z")
_ROLE = re.compile(r"\A(?:git|noreply|no-reply|donotreply|hg|svn|postmaster)\Z")
_USER_INFO = re.compile(r"://[^\s/@]*\Z")
_URL = re.compile(r"(?<![A-Za-z0-9])(?:https?|ftp)://[^\s<>\"'`{}|\\^\[\]]+[^\s<>\"'`{}|\\^\[\].,;:!?)*_]", re.IGNORECASE)


def emails(text: str, start: int, end: int) -> Iterator[Span]:
    """Mail addresses. Names in other scripts count where spaces set them apart; elsewhere a text may run into the name."""
    found = list(matches(_EMAIL, text, start, end)) or list(matches(_WIDE_EMAIL, text, start, end))
    for match in found:
        value = match[0]
        joined = _NEXT_SENTENCE.search(value)
        if joined and value[: joined.start()].rpartition("@")[2].islower() and "." in value[: joined.start()].rpartition("@")[2]:
            value = value[: joined.start()]
        name, _, domain = value.lower().rpartition("@")
        if _USER_INFO.search(text, max(0, match.start() - 80), match.start()):
            continue
        if ".." not in value and not name.endswith(".") and not _FILE_LIKE.search(domain):
            reserved = _RESERVED_DOMAIN.search(domain) is not None or _ROLE.match(name) is not None
            yield Span(match.start(), match.start() + len(value), "EMAIL", value, False, reserved)


def web_addresses(text: str) -> Iterator[Span]:
    """Addresses of pages, whole text."""
    for found in _URL.finditer(text):
        yield Span(found.start(), found.end(), "URL", found[0], False)
