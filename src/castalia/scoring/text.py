"""Scorers that compare text: exact, contains, regex."""

import re

import regex

from castalia.errors import ConfigError
from castalia.records import Check
from castalia.scoring.normalize import alternatives, bare, normalize, occurs
from castalia.scoring.values import Score, right, wrong


def score_exact(check: Check, answer: str) -> Score:
    """Passes when the whole answer is one of `expected`, both normalised and without wrapping."""
    given = bare(answer)
    if given and given in {bare(expected) for expected in check.expected}:
        return right(f"is {given!r}")
    return wrong(f"{given[:80]!r} is none of {list(check.expected)}")


def score_contains(check: Check, answer: str) -> Score:
    """Passes when an alternative of every group of `expected` occurs. Partial credit: the share of groups."""
    text = normalize(answer)
    groups = [alternatives(group) for group in check.expected]
    if not groups or not all(groups):
        raise ConfigError(
            f"a check of kind 'contains' needs phrases, got {list(check.expected)}; write groups of alternatives split by '|'"
        )
    missing = [check.expected[number] for number, group in enumerate(groups) if not any(occurs(phrase, text) for phrase in group)]
    if not missing:
        return right(f"has all of {list(check.expected)}")
    return wrong(f"lacks {missing}", 1 - len(missing) / len(groups))


def score_regex(check: Check, answer: str) -> Score:
    """Passes when `expected[0]`, an expression of Python's `re`, matches anywhere in the first 20,000 characters of the answer as it is,
    whitespace at its ends stripped. No match is one that is not found in a second of CPU time.

    Raises ConfigError for an expression that does not compile.
    """
    pattern = check.expected[0]
    try:
        re.compile(pattern)
        compiled = regex.compile(_BRACE.sub(lambda found: found[1] or r"\{", pattern))
    except (re.error, regex.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"the regular expression {pattern!r} of a check does not compile: {error}") from error
    try:
        found = compiled.search(answer.strip()[:20_000], timeout=_DEADLINE)
    except TimeoutError:
        return wrong(f"{pattern!r} takes longer than {_DEADLINE:g} s to match; write it without repetitions of what can match in many ways")
    return right(f"matches {pattern!r}") if found else wrong(f"does not match {pattern!r}")


_DEADLINE = 1.0  # seconds of CPU time
# a brace that begins no count is itself to `re`; to `regex`, which keeps a deadline, `{e}` would allow errors
_BRACE = re.compile(r"(\\.|\[\^?\]?(?:\\.|[^\]\\])*\])|\{(?!\d+(?:,\d*)?\}|,\d*\})", re.DOTALL)
