"""What is declared beside messages: tools and response formats, as the OpenAI API writes them.

Fields that a dataset keeps as text (`tools` as a JSON string, `parameters` as one) are read as well.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from castalia.errors import InputError
from castalia.records.conversation import Message, ResponseFormat, Tool

NAMESPACE = "functions."
"""What stands before the name of a declared function in a recipient."""

Chat = Mapping[str, Any]


def objects(value: Any, what: str) -> list[Chat]:
    """A list of JSON objects, given as such or as JSON text; nothing for None and empty text. Raises InputError."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else []
        except (ValueError, RecursionError) as error:
            raise InputError(f"{what} is the text {value[:60]!r}, which is no JSON ({error}): give a list of objects") from error
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in cast("list[Any]", value)):
        raise InputError(f"{what} is {repr(cast('object', value))[:60]}: give a list of objects")
    return cast("list[Chat]", value)


def read_tool(declared: Chat) -> Tool:
    """A function from `{"type": "function", "function": {...}}` or from the inner object alone. Raises InputError."""
    function: Any = declared.get("function", declared)
    if not isinstance(function, Mapping) or not isinstance(cast("Chat", function).get("name"), str):
        raise InputError(f"tool {dict(declared)!r} has no function name")
    named = cast("Chat", function)
    return Tool(name=named["name"], description=str(named.get("description") or ""), parameters=_as_text(named.get("parameters")))


def write_tool(tool: Tool) -> dict[str, Any]:
    """The declaration that `read_tool` reads back. Parameters that are no JSON stay text."""
    return {"type": "function", "function": {"name": tool.name, "description": tool.description, "parameters": as_value(tool.parameters)}}


def read_response_format(declared: Chat) -> ResponseFormat | None:
    """`{"type": "json_schema", "json_schema": {"name": ..., "schema": ...}}`; None for `{"type": "text"}`. Raises InputError."""
    inner: Any = declared.get("json_schema")
    if declared.get("type") == "text":
        return None
    if not isinstance(inner, Mapping) or not isinstance(cast("Chat", inner).get("name"), str) or "schema" not in inner:
        raise InputError(
            f"response format {repr(dict(declared))[:80]} can't be shown to the model: give type 'json_schema' with a name and a schema"
        )
    named = cast("Chat", inner)
    return ResponseFormat(name=named["name"], description=str(named.get("description") or ""), json_schema=_as_text(named["schema"]))


def write_response_format(form: ResponseFormat) -> dict[str, Any]:
    """The declaration that `read_response_format` reads back."""
    inner = {"name": form.name, "description": form.description, "schema": as_value(form.json_schema)}
    return {"type": "json_schema", "json_schema": inner}


def read_declarations(row: Chat) -> dict[str, Any]:
    """Fields of a Conversation that a dataset's row declares beside its messages.

    They are `tools`, `response_formats`, `reasoning_effort` or `effort`, and `date`. Raises InputError.
    """
    formats = [read_response_format(form) for form in objects(row.get("response_formats"), "'response_formats'")]
    effort, date = row.get("reasoning_effort") or row.get("effort") or "medium", row.get("date") or None
    if effort not in ("low", "medium", "high"):
        raise InputError(f"the reasoning effort is {effort!r}: use low, medium or high")
    if date is not None and not isinstance(date, str):
        raise InputError(f"'date' is {date!r}: give YYYY-MM-DD")
    return {
        "tools": tuple(read_tool(tool) for tool in objects(row.get("tools"), "'tools'")),
        "response_formats": tuple(form for form in formats if form),
        "effort": effort,
        "date": date,
    }


def qualified(name: str) -> str:
    """The recipient that calls a function of this name."""
    return name if "." in name else NAMESPACE + name


def unqualified(recipient: str) -> str:
    """The name that `qualified` gives the recipient back for."""
    name = recipient.removeprefix(NAMESPACE)
    return name if qualified(name) == recipient else recipient


def answering(name: str, before: Iterable[Message]) -> str:
    """Who answers, for the `name` of a result: a recipient that was called by this very name, or else the function."""
    return name if any(message.recipient == name for message in before) else qualified(name)


def answering_name(author: str, messages: Iterable[Message]) -> str:
    """The name that `answering` gives the author back for."""
    name = unqualified(author)
    return author if any(message.recipient == name for message in messages) else name


def as_value(text: str) -> Any:
    """The object that JSON text says, where writing it gives the same text again; the text itself otherwise."""
    try:
        value: Any = json.loads(text)
        same = isinstance(value, dict) and _as_text(cast("object", value)) == text
    except (ValueError, RecursionError):
        return text
    return cast("object", value) if same else text


def as_arguments(value: Any) -> str:
    """Arguments of a call as JSON text: text stays as it is, an object is written once."""
    return "{}" if value is None else _as_text(value)


def content_text(content: Any) -> str:
    """Text of a message's `content`: text, a list of text parts, or None. Raises InputError."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = cast("list[Any]", content)
        texts = [cast("Chat", part).get("text") if isinstance(part, Mapping) else part for part in parts]
        if all(isinstance(text, str) for text in texts):
            return "".join(cast("list[str]", texts))
    raise InputError(f"has content {repr(cast('object', content))[:80]}: only text and lists of text parts can be rendered")


def joined(instructions: Iterable[str]) -> str:
    """Instructions from several places, in order, a blank line between them."""
    return "\n\n".join(text for text in instructions if text)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
