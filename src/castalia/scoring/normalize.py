"""The one normalisation of text before comparison, and how phrases are looked for in it.

Normalised text: Unicode NFC, typographic quotes, dashes and spaces as their ASCII forms, case folded, every run of whitespace one
space. `bare` also drops what people put around a short answer: quotes, backticks, emphasis, a full stop at the end.
"""

import re
import unicodedata

_TYPOGRAPHIC = {
    **dict.fromkeys(map(ord, "\u2018\u2019"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d"), '"'),
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-"),
}
_ENDS = 10_000  # characters
_SHORT = 3  # phrases up to this length match whole words only


def normalize(text: str) -> str:
    """The text as it is compared."""
    return " ".join(unicodedata.normalize("NFC", text).translate(_TYPOGRAPHIC).casefold().split())


def in_short(text: str) -> str:
    """A text as far as one looks for what it commits to: of a long one its first and last 10,000 characters, with every run of spaces as
    one space, and of empty lines as one, so that looking takes no longer for more of them."""
    ends = text if len(text) <= 2 * _ENDS else f"{text[:_ENDS]}\n{text[-_ENDS:]}"
    return re.sub(r"\n\s*\n", "\n\n", re.sub(r"[^\S\n]+", " ", ends))


def bare(text: str) -> str:
    """A normalised short answer without its wrapping; an answer made of such characters alone stays as it is."""
    plain = normalize(text)
    inner = plain
    while True:
        stripped = inner.removesuffix(".").strip()
        for mark in ("```", "**", "__", '"', "'", "`", "*"):
            if len(stripped) > 2 * len(mark) and stripped.startswith(mark) and stripped.endswith(mark):
                stripped = stripped[len(mark) : -len(mark)].strip()
        if not stripped or stripped == inner:
            return inner or plain
        inner = stripped


def occurs(phrase: str, text: str) -> bool:
    """Whether a phrase occurs in normalised `text`. It starts where a word starts, so `safe` is not in `unsafe`; a phrase of up to
    three characters, or with a digit at its end, also ends where a word ends, so `no` is not in `not` and 10 not in 100, while
    `escap` is in `escaping`. An empty phrase occurs nowhere."""
    wanted = normalize(phrase)
    if not wanted:
        return False
    before = r"(?<!\w)" if _is_word(wanted[0]) else ""
    after = r"(?!\w)" if _is_word(wanted[-1]) and (len(wanted) <= _SHORT or wanted[-1].isdigit()) else ""
    return re.search(before + re.escape(wanted) + after, text) is not None


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def alternatives(group: str) -> list[str]:
    """The alternatives of a group, split at `|`; `\\|` is a bar itself. Empty ones are dropped."""
    parts = re.split(r"(?<!\\)\|", group)
    return [part.replace("\\|", "|").strip() for part in parts if part.strip()]
