"""Finds personal data: one pass proposes windows, rules decide.

What technical texts are full of is left alone: version numbers, ISBNs, dates, hashes, numbers without a country code, a check
digit or a word that names them. In code only what is certain counts: there a wrong find would break something that is right.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator

from castalia.web.pii.code import CodeSpans
from castalia.web.pii.contacts import emails, web_addresses
from castalia.web.pii.networks import network_addresses
from castalia.web.pii.numbers import accounts, cards, national_numbers, social_security
from castalia.web.pii.papers import births, papers
from castalia.web.pii.phones import phones
from castalia.web.pii.secrets import secrets, wallets
from castalia.web.pii.spans import KINDS, Span, is_placeholder
from castalia.web.pii.windows import windows

PERSONAL = frozenset(KINDS) - {"URL"}
"""Kinds that are looked for unless others are named."""
_NO_DIGITS = str.maketrans("", "", "0123456789")


def find_personal_data(text: str, *, code: bool = False, kinds: Collection[str] = PERSONAL, reserved: bool = False) -> list[Span]:
    """Non-overlapping spans in order of their start; where two overlap, the certain one and then the longer one stays.

    With `code`, and between backticks, only certain ones. With `reserved` also values that lead to nobody: example domains,
    private networks, published test numbers.
    """
    found = [span for window in windows(text) for span in _rules(text, *window)]
    if "URL" in kinds:
        found += web_addresses(text)
    if not found:
        return []
    chosen = apart([span for span in found if span.kind in kinds])
    kept = [span for span in chosen if (reserved or not span.reserved) and not is_placeholder(span.value)]
    if code:
        return [span for span in kept if span.certain]
    if "`" in text and not all(span.certain for span in kept):
        inside = CodeSpans(text)
        kept = [span for span in kept if span.certain or not inside.touches(span.start, span.end)]
    return kept


def _rules(text: str, start: int, end: int) -> Iterator[Span]:
    """Every span that a rule finds in a window, overlapping ones too."""
    part = text[start:end]
    digits = len(part) - len(part.translate(_NO_DIGITS))
    if "@" in part:
        yield from emails(text, start, end)
    if digits >= 5 or ":" in part:
        yield from network_addresses(text, start, end)
    if digits >= 6:
        yield from phones(text, start, end)
    if digits >= 6 or part[0].isalpha():
        yield from births(text, start, end)
    if digits >= 9:
        yield from social_security(text, start, end)
        yield from cards(text, start, end)
    if digits >= 4:
        yield from national_numbers(text, start, end)
        yield from papers(text, start, end)
        yield from accounts(text, start, end)
    if len(part) >= 20:
        yield from secrets(text, start, end)
        yield from wallets(text, start, end)


def apart(spans: Iterable[Span]) -> list[Span]:
    """The spans that stay where some overlap, in order: the certain one, then the longer one, then the earlier one."""
    kept: list[Span] = []
    for span in sorted(set(spans), key=lambda span: (not span.certain, span.start - span.end, span)):
        place = bisect_left(kept, span)
        if (not place or kept[place - 1].end <= span.start) and (place == len(kept) or span.end <= kept[place].start):
            kept.insert(place, span)
    return kept
