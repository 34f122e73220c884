"""A page as lines of text, the way a licence file has them. Runs in the limited worker.

Whether a line is a copyright notice decides what a licence text is, so lines end where blocks do. Lines of a few words before the
first and after the last sentence are navigation.
"""

import html as entities
import re

from castalia.web.prescan import prescan

_UNSEEN = re.compile(r"<(script|style|head|nav|template)\b.{0,200000}?</\1\s*>|<!--.{0,20000}?-->", re.IGNORECASE | re.DOTALL)
_BLOCK = re.compile(
    r"</?(?:p|div|br|h[1-6]|li|ul|ol|table|tr|td|th|pre|section|article|main|body|blockquote|dl|dt|dd|hr|header|footer|center)\b[^>]{0,2000}>",
    re.IGNORECASE,
)
_TAG = re.compile(r"<[^>]{0,2000}>")
_SENTENCE_WORDS = 8


def visible_lines(html: str) -> str:
    """The lines from the first sentence to the last; empty for a page without one, or one that no parser should see."""
    lines = all_lines(html).split("\n")
    sentences = [number for number, line in enumerate(lines) if len(line.split()) >= _SENTENCE_WORDS]
    return "\n".join(lines[sentences[0] : sentences[-1] + 1]) if sentences else ""


def all_lines(html: str) -> str:
    """Every line; empty for a page that no parser should see."""
    if prescan(html).problem:
        return ""
    seen = _BLOCK.sub("\n", re.sub(r"\s+", " ", _UNSEEN.sub(" ", html)))
    return "\n".join(" ".join(line.split()) for line in entities.unescape(_TAG.sub("", seen)).split("\n") if line.strip())
