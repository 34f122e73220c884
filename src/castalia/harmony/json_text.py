"""JSON from outside, as values that are safe to walk.

Python's reader takes hundreds of levels; what walks or writes such a value afterwards would run out of stack.
"""

import json
from typing import Any, Final, cast

DEEPEST: Final = 100
"""Levels of lists and objects inside each other."""


def parse_json(text: str | bytes) -> Any:
    """The value that JSON text says. Raises ValueError for what is no JSON, has a number of thousands of digits, or is too deep."""
    try:
        value: Any = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"deeper than {DEEPEST} levels") from error
    opening = ("[", "{") if isinstance(text, str) else (b"[", b"{")
    if text.count(cast("Any", opening[0])) + text.count(cast("Any", opening[1])) > DEEPEST and too_deep(value):
        raise ValueError(f"deeper than {DEEPEST} levels")
    return value


def too_deep(value: Any) -> bool:
    """Whether lists and objects stand in each other in more levels than DEEPEST."""
    level: list[Any] = [value]
    for _ in range(DEEPEST + 1):
        level = [child for node in level for child in _inside(node) if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _inside(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return list(cast("dict[str, Any]", node).values())
    return cast("list[Any]", node) if isinstance(node, list) else []
