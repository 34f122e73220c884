"""Traits of an answer that have nothing to do with whether it is right."""

import re
from collections.abc import Mapping

STYLES: Mapping[str, re.Pattern[str]] = {
    "code block": re.compile(r"^(```|~~~)", re.MULTILINE),
    "list": re.compile(r"^\s*([-*+]|\d+[.)])\s", re.MULTILINE),
    "heading": re.compile(r"^#{1,6}\s", re.MULTILINE),
    "bold": re.compile(r"\*\*\S"),
    "greeting": re.compile(r"^\W*(sure|certainly|of course|absolutely|great question|good question|happy to|thank)", re.IGNORECASE),
    "hedge": re.compile(r"\b(generally speaking|in general|usually|typically|perhaps|maybe|might|probably|it depends)\b", re.IGNORECASE),
    "refusal": re.compile(r"\b(i can't|i cannot|i can not|i'm unable|i am unable|i won't|i will not|as an ai)\b", re.IGNORECASE),
    "first person": re.compile(r"\b(I|I'm|I've|I'll|my|me)\b"),
    "exclamation": re.compile(r"\w!(\s|$)"),
    "question at the end": re.compile(r"\?\s*$"),
}
"""What counts as a trait, in English answers."""


def styles_of(text: str) -> frozenset[str]:
    """The traits that an answer shows."""
    return frozenset(trait for trait, pattern in STYLES.items() if pattern.search(text))
