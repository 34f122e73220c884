"""JSON values from foreign code, parsed and compared by the host with exact types: True is not 1, 1 is not 1.0."""

import json
from typing import Any, NoReturn, cast


def parse_value(text: str) -> object:
    """The value of strict JSON. Raises ValueError for anything else: NaN, trailing text, nesting or numbers beyond Python's limits."""
    try:
        return cast(object, json.loads(text, parse_constant=_no_constant))
    except RecursionError as error:
        raise ValueError("the value is nested too deeply") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def same_value(left: object, right: object) -> bool:
    """Equal value and equal JSON type, through arrays and objects."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        ours, theirs = cast(list[Any], left), cast(list[Any], right)
        return len(ours) == len(theirs) and all(same_value(a, b) for a, b in zip(ours, theirs, strict=True))
    if isinstance(left, dict):
        ours, theirs = cast(dict[str, Any], left), cast(dict[str, Any], right)
        return ours.keys() == theirs.keys() and all(same_value(value, theirs[key]) for key, value in ours.items())
    return left == right


def shorten(value: object, most: int = 200) -> str:
    """The value as JSON text of at most `most` characters, for messages."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else text[: most - 1] + "…"
