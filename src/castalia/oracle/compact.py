"""JSON as calls need it, thousands of times a second: as it was put together on the way out, nothing doubtful on the way in."""

import re
from typing import Any

import jiter
import msgspec

_PLACE = re.compile(r"line (\d+) column (\d+)")


class NotJSON(ValueError):
    """Text that isn't one strict JSON value."""


def compact_json(value: Any) -> bytes:
    """UTF-8 without spaces, in the order of the value: a model writes the properties of a schema in their order, so it is part of what is asked.

    NaN would become null: values come from a validated configuration and from text, which hold none.
    """
    return msgspec.json.encode(value)


def strict_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises NotJSON on duplicate keys, NaN, Infinity, lone surrogates, and whatever else isn't JSON (RFC 8259)."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        return jiter.from_json(data, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        raise NotJSON(f"{error}{_excerpt(data, str(error))}") from error


def _excerpt(data: bytes, message: str) -> str:
    """What stands where the parser stopped, in words for whoever wrote it."""
    place = _PLACE.search(message)
    if place is None:
        return ""
    line = data.splitlines()[int(place[1]) - 1 : int(place[1])]
    found = b"".join(line)[max(0, int(place[2]) - 1) :][:20].decode("utf-8", "replace")
    return f", at {found!r}" if found else ""
