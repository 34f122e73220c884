"""Scorers that compare text: exact, contains, regex."""

import re

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
    """Passes when `expected[0]` matches anywhere in the answer as it is, whitespace at its ends stripped.

    Raises ConfigError for an expression that does not compile, or that repeats a repetition: such can take exponential time.
    """
    pattern = check.expected[0]
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"the regular expression {pattern!r} of a check does not compile: {error}") from error
    if _NESTED.search(re.sub(r"\\.|\[(?:\\.|[^\]])*\]", "x", pattern)):
        raise ConfigError(f"the regular expression {pattern!r} of a check repeats a repetition and may never end; write it without")
    return right(f"matches {pattern!r}") if compiled.search(answer.strip()[:20_000]) else wrong(f"does not match {pattern!r}")


# a group that holds an unbounded repetition and is itself repeated without bound: (a+)+, (a*b?)*, ((a+))*
_NESTED = re.compile(r"\((?:[^()]|\([^()]*\))*(?:[*+]|\{\d*,\})(?:[^()]|\([^()]*\))*\)+(?:[*+]|\{\d*,\})")
