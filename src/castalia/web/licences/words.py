"""The words of a licence text that matter: without titles, copyright lines, list marks, comment signs and markup."""

import re

WORDS_PER_SHINGLE = 5

_COPYRIGHT = re.compile(
    r"^[\W_]*(?:portions\s+)?(?:copyright\s*(?:\(c\)|©|[<\[{(]|\d{4}|by\b|the\b)|©|\(c\)\s*(?:\d{4}|copyright)|all rights reserved\b).*$",
    re.IGNORECASE,
)
_CONTINUED = re.compile(r"^\s*(?:and|by|\d{4})\b.{0,60}$", re.IGNORECASE)
_TITLE = re.compile(r"^[\W_]*(?:the\s+)?[\w .,\"'()/:-]{0,60}\blicen[cs]e\b[\w .,\"'()/:-]{0,45}$", re.IGNORECASE)
_TAG = re.compile(
    r"<(?:/?(?:p|br|h\d|div|span|a|b|i|em|strong|html|head|body|title|ul|ol|li|pre|meta|hr)\b[^>]{0,300}|!doctype[^>]{0,200})>",
    re.IGNORECASE,
)
_ENTITY = {"&amp;": "&", "&quot;": '"', "&lt;": "<", "&gt;": ">", "&nbsp;": " ", "&copy;": "(c)"}
_COMMENT = re.compile(r"^[ \t]*(?://+|#+|;+|--|/?\*+/?|%+)[ \t]?", re.MULTILINE)
_LONGEST_TITLE = 9
_FIRST_SENTENCE = 6
"""Words of a line from which on it is no title, and no title follows."""
_LIST_MARK = re.compile(r"^[\s*_#>]*(?:[-•]+|\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)])[*_]*\s+")


def licence_words(text: str) -> list[str]:
    """Words in lower case, in order; `license` for both spellings."""
    return _words(" ".join(_split(text)[0]))


def notice_words(text: str) -> list[str]:
    """Words of the titles and copyright lines, which `licence_words` leaves out."""
    return _words(" ".join(_split(text)[1]))


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", re.sub(r"['’`*_]", "", text.lower().replace("licence", "license")))


def _split(text: str) -> tuple[list[str], list[str]]:
    """Lines of terms, and lines that only name: titles, copyright."""
    text = _TAG.sub(" ", _without_comment_signs(text))
    for entity, character in _ENTITY.items():
        text = text.replace(entity, character)
    text = re.sub(r"\[([^\]]{0,200})\]\((?:https?:|#|mailto:)[^)\s]{0,300}\)", r"\1", text)
    text = re.sub(r"https?://", "", text)
    kept: list[str] = []
    naming: list[str] = []
    after_copyright = False
    titles = True
    for line in text.splitlines():
        if _COPYRIGHT.match(line):
            after_copyright = True
            naming.append(line)
            continue
        if after_copyright and line.strip() and _CONTINUED.match(line):
            naming.append(line)
            continue
        after_copyright = False
        if titles and _TITLE.match(line) and len(line.split()) < _LONGEST_TITLE:
            naming.append(line)
            continue
        kept.append(_LIST_MARK.sub("", line))
        titles = titles and len(line.split()) < _FIRST_SENTENCE
    return kept, naming


def _without_comment_signs(text: str) -> str:
    """The text without the signs of a source file's comment, where most of its lines begin with one."""
    lines = [line for line in text.splitlines() if line.strip()]
    return _COMMENT.sub("", text) if lines and sum(bool(_COMMENT.match(line)) for line in lines) * 10 >= len(lines) * 9 else text
