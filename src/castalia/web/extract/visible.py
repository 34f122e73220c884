"""What a reader can't see: elements that are hidden by attribute, style or class name."""

import re
from collections.abc import Iterator, Mapping

from castalia.web.prescan import word_set

_SCREEN_READER_ONLY = word_set(
    "sr-only visually-hidden visuallyhidden screen-reader-text screenreader-text screen-reader-only a11y-hidden u-visually-hidden "
    "element-invisible mw-editsection"
)
_INVISIBLE_STYLE = re.compile(
    r"display\s*:\s*none|font-size\s*:\s*0(?:px|em|rem|%|pt)?\s*(?:;|!|$)"
    r"|(?<![\w-])(?:left|top|text-indent|right|margin-left)\s*:\s*-(?:\d{4,}|[5-9]\d\d)(?:\.\d+)?(?:px|em|rem|%)|clip\s*:\s*rect\(\s*(?:0|1px)"
    r"|(?<![\w-])(?:width|height|max-height|max-width)\s*:\s*0(?:px)?\s*(?:;|!|$)",
    re.IGNORECASE,
)
_TRANSPARENT_STYLE = re.compile(r"visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0(?:\.0+)?\s*(?:;|!|$)", re.IGNORECASE)
_MOVING_STYLE = re.compile(r"transform|translate|transition|animation|filter\s*:", re.IGNORECASE)
_STREAMED = re.compile(r"S:[0-9a-f]+\Z")
_LANDMARKS = word_set("body main article section pre code table")
_STYLE = re.compile(r"<style\b[^>]*>", re.IGNORECASE)
_STYLE_END = re.compile(r"</style", re.IGNORECASE)
_SIMPLE_SELECTOR = re.compile(r"[.#][\w-]+\Z")
_HIDES = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden")
_LONGEST_SHEET = 200_000


def is_invisible(tag: str, attributes: Mapping[str, str], hidden: frozenset[str]) -> bool:
    """Whether an element with these attributes is never shown; `hidden` are selectors that style sheets hide."""
    if "hidden" in attributes and attributes["hidden"] != "until-found" and not _STREAMED.match(attributes.get("id", "")):
        return True
    if attributes.get("aria-hidden") == "true" and tag not in _LANDMARKS:
        return True
    names = attributes.get("class", "")
    if names and not _SCREEN_READER_ONLY.isdisjoint(names.lower().split()):
        return True
    style = attributes.get("style")
    if style and _INVISIBLE_STYLE.search(style):
        return True
    return bool(hidden) and (f"#{attributes.get('id', '')}" in hidden or any(f".{name}" in hidden for name in names.split()))


def is_waiting(attributes: Mapping[str, str]) -> bool:
    """Whether an element can't be seen until a script makes it opaque. One that also moves is about to enter the page: that is shown."""
    style = attributes.get("style")
    return bool(style and _TRANSPARENT_STYLE.search(style) and not ("opacity" in style and _MOVING_STYLE.search(style)))


def hidden_selectors(html: str) -> frozenset[str]:
    """`.class` and `#id` selectors that the page's own style sheets hide on every medium."""
    hidden: set[str] = set()
    for sheet in _style_sheets(html):
        media = sheet.find("@media")
        if media < 0 and len(sheet) > _LONGEST_SHEET:
            continue
        sheet = sheet[:media] if media >= 0 else sheet
        *rules, _ = sheet.split("}")
        for rule in rules:
            before, _, declarations = rule.rpartition("{")
            if _HIDES.search(declarations):
                names = before.rpartition("{")[2].split(",")
                hidden.update(name.strip() for name in names if _SIMPLE_SELECTOR.match(name.strip()))
    return frozenset(hidden)


def _style_sheets(html: str) -> Iterator[str]:
    position = 0
    while (start := _STYLE.search(html, position)) and (end := _STYLE_END.search(html, start.end())):
        yield html[start.end() : end.start()]
        position = end.end()
