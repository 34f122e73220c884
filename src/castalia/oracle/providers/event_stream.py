"""Server-sent events, from the bytes as they were committed. https://html.spec.whatwg.org/multipage/server-sent-events.html"""

from typing import Any, NamedTuple

from castalia.oracle.compact import strict_json
from castalia.oracle.providers.base import UnreadableAnswer

DONE = "[DONE]"


class Event(NamedTuple):
    """One event."""

    name: str
    data: str


def is_event_stream(raw: bytes) -> bool:
    """Whether an answer came as events rather than as one JSON object."""
    return raw.lstrip()[:6].startswith((b"data:", b"event:", b":", b"id:", b"retry:"))


def read_events(raw: bytes) -> list[Event]:
    """The events of a stream. An event without its closing empty line was cut off, and counts as not received."""
    events: list[Event] = []
    name, data = "", list[str]()
    lines = raw.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for line in lines:
        if not line:
            if data:
                events.append(Event(name, "\n".join(data)))
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
    return events


def json_events(raw: bytes) -> tuple[list[dict[str, Any]], bool]:
    """The JSON objects of a stream, and whether it said `[DONE]`. Raises NotJSON, and UnreadableAnswer for an error event."""
    objects: list[dict[str, Any]] = []
    for event in read_events(raw):
        if event.data == DONE:
            return objects, True
        value = strict_json(event.data)
        if not isinstance(value, dict):
            raise UnreadableAnswer(f"an event of the stream is no object: {event.data[:80]!r}")
        found: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
        if found.get("error") or found.get("type") == "error" or event.name == "error":
            raise UnreadableAnswer(f"the stream ended with an error: {event.data[:300]}")
        objects.append(found)
    return objects, False
