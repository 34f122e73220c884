"""What is declared beside messages: tools and response formats, as the OpenAI API writes them.

Fields that a dataset keeps as text (`tools` as a JSON string, `parameters` as one) are read as well.
"""

import json
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from castalia.errors import InputError
from castalia.harmony.builtin import BUILTIN_RECIPIENTS, BUILTIN_TOOLS
from castalia.harmony.json_text import parse_json
from castalia.records.conversation import BuiltinTool, Channel, Conversation, Message, ResponseFormat, Tool

NAMESPACE = "functions."
"""What stands before the name of a declared function in a recipient."""

Chat = Mapping[str, Any]


def objects(value: Any, what: str) -> list[Chat]:
    """A list of JSON objects, given as such or as JSON text; nothing for None and empty text. Raises InputError."""
    if isinstance(value, str):
        try:
            value = parse_json(value) if value.strip() else []
        except ValueError as error:
            raise InputError(f"{what} is the text {value[:60]!r}, which is no JSON ({error}): give a list of objects") from error
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in cast("list[Any]", value)):
        raise InputError(f"{what} is {repr(cast('object', value))[:60]}: give a list of objects")
    return cast("list[Chat]", value)


def read_tools(declared: Iterable[Chat]) -> tuple[tuple[Tool, ...], tuple[BuiltinTool, ...]]:
    """The functions in a list of tools, and the built-in tools, written `{"type": "browser"}`. Raises InputError."""
    functions: list[Tool] = []
    built_in: list[BuiltinTool] = []
    for tool in declared:
        kind = tool.get("type")
        if kind in (None, "function") or "function" in tool or "name" in tool:
            functions.append(read_tool(tool))
        else:
            built_in += read_builtin_tools([kind])
    return tuple(functions), tuple(built_in)


def read_builtin_tools(names: Any) -> tuple[BuiltinTool, ...]:
    """Names of built-in tools, given as a list or as JSON text; nothing for None and empty text. Raises InputError for others."""
    if isinstance(names, str):
        try:
            names = parse_json(names) if names.strip() else []
        except ValueError as error:
            raise InputError(f"'builtin_tools' is the text {names[:60]!r}, which is no JSON ({error}): give a list of names") from error
    if names is not None and not isinstance(names, list | tuple):
        raise InputError(f"'builtin_tools' is {repr(cast('object', names))[:60]}: give a list of names")
    given = cast("list[Any]", names or [])
    unknown = [name for name in given if name not in BUILTIN_TOOLS]
    if unknown:
        raise InputError(
            f"tool {unknown[0]!r} is neither a function nor built into GPT-OSS: use {', '.join(BUILTIN_TOOLS)}, or declare a function"
        )
    return tuple(dict.fromkeys(given))


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

    They are `tools` and the older `functions`, `builtin_tools`, `response_formats`, `reasoning_effort` or `effort`, and `date`.
    Raises InputError.
    """
    formats = [read_response_format(form) for form in objects(row.get("response_formats"), "'response_formats'")]
    effort, date = row.get("reasoning_effort") or row.get("effort") or "medium", row.get("date") or None
    if effort not in ("low", "medium", "high"):
        raise InputError(f"the reasoning effort is {effort!r}: use low, medium or high")
    if date is not None and not isinstance(date, str):
        raise InputError(f"'date' is {date!r}: give YYYY-MM-DD")
    tools, built_in = read_tools(objects(row.get("tools"), "'tools'"))
    older, _ = read_tools(objects(row.get("functions"), "'functions'"))
    return {
        "tools": (*tools, *(tool for tool in older if tool not in tools)),
        "builtin_tools": tuple(dict.fromkeys((*built_in, *read_builtin_tools(row.get("builtin_tools"))))),
        "response_formats": tuple(form for form in formats if form),
        "effort": effort,
        "date": date,
    }


def write_declarations(conversation: Conversation) -> dict[str, Any]:
    """The keys that `read_declarations` reads back; only those that say something, and the effort."""
    row: dict[str, Any] = {"reasoning_effort": conversation.effort}
    if conversation.builtin_tools:
        row["builtin_tools"] = list(conversation.builtin_tools)
    if conversation.tools:
        row["tools"] = [write_tool(tool) for tool in conversation.tools]
    if conversation.response_formats:
        row["response_formats"] = [write_response_format(form) for form in conversation.response_formats]
    return row | ({"date": conversation.date} if conversation.date else {})


def qualified(name: str) -> str:
    """The recipient that calls a function of this name."""
    return name if "." in name else NAMESPACE + name


def unqualified(recipient: str) -> str:
    """The name that `qualified` gives the recipient back for."""
    name = recipient.removeprefix(NAMESPACE)
    return name if qualified(name) == recipient else recipient


def called_on(recipient: str) -> tuple[Channel, str]:
    """Channel and content type of a call to whom chat data names: functions on commentary with JSON, built-in tools in the chain of thought."""
    return ("analysis", "code") if recipient in BUILTIN_RECIPIENTS else ("commentary", "json")


def answering(name: str, before: Sequence[Message]) -> str:
    """Who answers, for the `name` of a result: a recipient that was called by this very name, a built-in tool, or else the function."""
    called = {message.recipient for message in before}
    return name if name in called or (name in BUILTIN_RECIPIENTS and qualified(name) not in called) else qualified(name)


def answering_name(author: str, before: Sequence[Message]) -> str:
    """The name that `answering` gives the author back for."""
    name = unqualified(author)
    return name if answering(name, before) == author else author


def as_value(text: str) -> Any:
    """The object that JSON text says, where writing it gives the same text again; the text itself otherwise."""
    try:
        value: Any = parse_json(text)
        same = isinstance(value, dict) and _as_text(cast("object", value)) == text
    except (ValueError, InputError):
        return text
    return cast("object", value) if same else text


def as_arguments(value: Any) -> str:
    """Arguments of a call as JSON text: text stays as it is, an object is written once."""
    return "{}" if value is None else _as_text(value)


def content_text(content: Any) -> str:
    """Text of a message's `content`: text, a list of text parts, or None. Raises InputError, naming a part of another kind."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(_part_text(part) for part in cast("list[Any]", content))
    raise InputError(f"has content {repr(cast('object', content))[:80]}: only text and lists of text parts can be rendered")


def content_thought(content: Any) -> str | None:
    """Text of the parts of a message's `content` that are thoughts, None where there are none."""
    parts = cast("list[Any]", content) if isinstance(content, list) else []
    thoughts = [_part_text(part, thought=True) for part in parts if _is_thought(part)]
    return "".join(thoughts) if thoughts else None


def _is_thought(part: Any) -> bool:
    return isinstance(part, Mapping) and cast("Chat", part).get("type") in ("thinking", "reasoning")


def _part_text(part: Any, *, thought: bool = False) -> str:
    """`{"type": "text", "text": ...}`, also as the other APIs name it; text alone; and nothing for thoughts, which are no content."""
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping):
        fields = cast("Chat", part)
        kind = str(fields.get("type") or "text")
        if _is_thought(part) and not thought:
            return ""
        keys = {"refusal": ("refusal",), "thinking": ("thinking", "text"), "reasoning": ("reasoning", "text")}.get(kind, ("text",))
        texts = [fields[key] for key in keys if isinstance(fields.get(key), str)]
        if texts and kind in ("text", "input_text", "output_text", "refusal", "thinking", "reasoning"):
            return texts[0]
        raise InputError(f"has a part of type {kind!r}, keys {sorted(map(str, fields))}: only text can be rendered")
    raise InputError(f"has content part {repr(cast('object', part))[:60]}: give text, or an object with type 'text'")


def joined(instructions: Iterable[str]) -> str:
    """Instructions from several places, in order, a blank line between them; what several of them say is said once."""
    return "\n\n".join(dict.fromkeys(text for text in instructions if text))


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:  # a table holds moments, bytes and decimals, too
        raise InputError(f"holds {reprlib.repr(value)}, which JSON can't say ({error}): give text, numbers, lists and objects") from error
