"""The number an answer commits to."""

import re
from decimal import Decimal, InvalidOperation, localcontext

from castalia.errors import ConfigError
from castalia.records import Check
from castalia.scoring.normalize import in_short
from castalia.scoring.values import Score, right, wrong

_NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:\.\d+)?(?:[eE][-+]?\d{1,3})?"
_RATIO = rf"(?=[-+]?\.?\d){_NUMBER}(?:\s*/\s*(?=\d){_NUMBER})?"
_FIND = re.compile(rf"(?<![\w.]){_RATIO}")
_MARKED = re.compile(rf"(?:####|\\boxed\{{|(?:answer|result|total)(?:\s+is)?\s*[:=]?)\s*[*$`\\(]*\s*({_RATIO})", re.IGNORECASE)
_LONGEST = 100  # digits; nobody means more


def stated_number(answer: str) -> Decimal | None:
    """The number an answer states: the last after `####`, `\\boxed{` or `answer is`, else the last number in it. Thousands
    separators, fractions and powers of ten are read; None when there is no number."""
    text = in_short(answer).replace("\u2212", "-")
    for pattern in (_MARKED, _FIND):
        found: list[str] = [match[match.lastindex or 0] for match in pattern.finditer(text)]
        numbers = [number for number in map(_decimal, found) if number is not None]
        if numbers:
            return numbers[-1]
    return None


def score_numeric(check: Check, answer: str) -> Score:
    """Passes when the stated number is within `tolerance` of one of `expected`. Raises ConfigError when `expected` holds no number."""
    wanted = [stated_number(expected) for expected in check.expected]
    if not wanted or None in wanted:
        raise ConfigError(f"a check of kind 'numeric' expects {list(check.expected)}, which are not all numbers; write e.g. \"3.5\"")
    given = stated_number(answer)
    if given is None:
        return wrong("states no number")
    with localcontext() as context:
        context.prec = 3 * _LONGEST
        near = any(number is not None and abs(given - number) <= Decimal(str(check.tolerance)) for number in wanted)
    return right(f"states {given}") if near else wrong(f"states {given}, not {' or '.join(check.expected)}")


def _decimal(text: str) -> Decimal | None:
    if len(text) > _LONGEST:
        return None
    top, slash, bottom = text.replace(",", "").replace(" ", "").partition("/")
    try:
        return Decimal(top) / Decimal(bottom) if slash else Decimal(top)
    except (InvalidOperation, ZeroDivisionError):
        return None
