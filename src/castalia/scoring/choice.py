"""Scorers that look for letters of a multiple-choice answer: choice and sequence."""

import re

from castalia.records import Check
from castalia.scoring.normalize import in_short
from castalia.scoring.values import Score, right, wrong

_ALONE = re.compile(r"\W*([A-Za-z])\W*")
_LEADING = re.compile(r"\W*([A-Z])\W*(?:[.):]|\*\*)(?:\s|$)")
_NOUN = r"(?:answer|choice|(?:correct|right|best|final|chosen|my)\s(?:option|letter))"
_ASIDE = r"(?:\s(?:to|for|of|in|here|the|this|that|question|must|would|should|\d+)\b){0,6}"
_MORE = r"\W{0,4}(?:,|/|&|\bor\b|\band\b)\W{0,4}[A-Z]\b\W{0,3}(?:[,.;]|\bor\b|\band\b|$)"
_STATED = re.compile(
    rf"(?<!wrong )(?<!false )(?<!incorrect )\b{_NOUN}\b[*_]*{_ASIDE}\s?(?:\b(?:is|be)\b|[:=])(?:\s(?:option|choice|letter)\b)?[\W_]*"
    rf"\b(?-i:([A-Z]))\b(?!')(?!{_MORE})",
    re.IGNORECASE | re.MULTILINE,
)
_BOXED = re.compile(r"\\boxed\{\s*(?:\\text\{)?\s*\(?([A-Za-z])\)?\s*\}")
_TOKEN = re.compile(r"(?<![\w'])([A-Z])(?![\w'])")
_ARTICLE = re.compile(r"(?<![\w'])[AI](?= (?!(?:and|or|nor|but|not|is|was|because|as|since)\b)[a-z])")


def chosen_letter(answer: str) -> str | None:
    """The letter an answer commits to, upper case; None when it names none or several.

    In this order: the answer is a letter; `\\boxed{B}` (the last one); `the answer is B`, which states none where it states two; it starts
    with `B)` or `B.`; the only letter that stands alone, the words `A` and `I` aside.
    """
    answer = in_short(answer)
    if alone := _ALONE.fullmatch(answer):
        return alone[1].upper()
    if boxed := _BOXED.findall(answer):
        return str(boxed[-1]).upper()
    if stated := {str(letter) for letter in _STATED.findall(answer)}:
        return stated.pop() if len(stated) == 1 else None
    leading = [match[1] for match in map(_LEADING.match, answer.splitlines()) if match]
    if leading:
        return leading[0] if len(set(leading)) == 1 else None
    letters = set(_TOKEN.findall(_ARTICLE.sub("", answer)))
    return letters.pop() if len(letters) == 1 else None


def score_choice(check: Check, answer: str) -> Score:
    """Passes when the answer commits to one of the letters of `expected`."""
    letter = chosen_letter(answer)
    if letter is None:
        return wrong("commits to no single letter")
    if letter in {expected.strip().strip("().").upper() for expected in check.expected}:
        return right(f"chose {letter}")
    return wrong(f"chose {letter}, not {' or '.join(check.expected)}")


def letters_in_order(answer: str, alphabet: frozenset[str]) -> list[str]:
    """The order an answer gives: the longest row of letters in one line (the last such), `BAC` or `B, A, C`; else the first letter
    of each line, as in a numbered list."""
    best: list[str] = []
    firsts: list[str] = []
    for line in answer.splitlines():
        rows = [list(word) for word in re.findall(r"(?<![\w'])[A-Z]{2,26}(?![\w'])", line) if alphabet.issuperset(word)]
        tokens = [letter for letter in _TOKEN.findall(line) if letter in alphabet]
        for row in (*rows, tokens):
            if len(row) >= 2 and len(row) >= len(best):
                best = row
        if tokens:
            firsts.append(tokens[0])
    if len(firsts) > len(best):
        return firsts
    return best or firsts


def score_sequence(check: Check, answer: str) -> Score:
    """Passes when the letters are `expected` in this order, nothing more. Partial credit: longest common subsequence over the longer
    of the two."""
    expected = [letter.strip().upper() for letter in check.expected]
    given = letters_in_order(answer.upper() if re.fullmatch(r"[\W\da-z_]*", answer) else answer, frozenset(expected))
    if given == expected:
        return right(f"order {' '.join(given)}")
    common = _common(given, expected)
    return wrong(f"order {' '.join(given) or 'not given'}, not {' '.join(expected)}", common / max(len(given), len(expected), 1))


def _common(left: list[str], right_: list[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(right_) + 1)
    for one in left[:100]:
        previous = 0
        for column, other in enumerate(right_, 1):
            previous, row[column] = row[column], previous + 1 if one == other else max(row[column], row[column - 1])
    return row[-1]
