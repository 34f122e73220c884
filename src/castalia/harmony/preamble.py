"""The two messages before the conversation: what the model is told about itself, and what the developer tells it."""

import json
from typing import Any

from castalia.errors import InputError
from castalia.harmony.style import Style
from castalia.harmony.typescript import typescript
from castalia.records.conversation import Conversation, ResponseFormat, Tool


def system_text(conversation: Conversation, style: Style) -> str | None:
    """Content of the system message, None where the style has none."""
    if style.preamble == "none":
        return None
    top = [style.identity, f"Knowledge cutoff: {style.knowledge_cutoff}"]
    if conversation.date:
        top.append(f"Current date: {conversation.date}")
    channels = "# Valid channels: analysis, commentary, final. Channel must be included for every message."
    if conversation.tools:
        channels += "\nCalls to these tools must go to the commentary channel: 'functions'."
    return "\n\n".join(("\n".join(top), f"Reasoning: {conversation.effort}", channels))


def developer_text(conversation: Conversation) -> str | None:
    """Content of the developer message, None where there are neither instructions, tools nor response formats."""
    sections = ["# Instructions", conversation.instructions] if conversation.instructions else []
    if conversation.tools:
        declared = "".join(_declaration(tool) for tool in conversation.tools)
        sections += ["# Tools", f"## functions\n\nnamespace functions {{\n\n{declared}}} // namespace functions"]
    if conversation.response_formats:
        sections += ["# Response Formats", *(_form(form) for form in conversation.response_formats)]
    return "\n\n".join(sections) or None


def parameters_of(tool: Tool) -> Any:
    """The tool's JSON schema, None for a function without arguments (`null`). Raises InputError when the text isn't JSON."""
    return _schema(tool.parameters, f"tool {tool.name!r} has parameters")


def _declaration(tool: Tool) -> str:
    """`type f = (_: {...}) => any;` under its description."""
    schema = parameters_of(tool)
    arguments = "" if schema is None else f"_: {typescript(schema)}"
    return f"{_comment(tool.description)}type {tool.name} = ({arguments}) => any;\n\n"


def _form(form: ResponseFormat) -> str:
    """A schema under its name and description."""
    schema = _schema(form.json_schema, f"response format {form.name!r} has the schema")
    return f"## {form.name}\n\n{_comment(form.description)}{json.dumps(schema, ensure_ascii=False, separators=(',', ':'))}"


def _comment(description: str) -> str:
    return "".join(f"// {line}\n" for line in description.replace("\r\n", "\n").removesuffix("\n").split("\n") if description)


def _schema(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{what} {text[:80]!r}, which is no JSON ({error}): give a JSON schema as text") from error
