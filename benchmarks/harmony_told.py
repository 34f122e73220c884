# pyright: basic
"""What random conversations are told before they begin (instructions, functions, built-in tools, effort, date, response formats), and
how openai-harmony is told it.
"""

import json
import random
from typing import Any

from benchmarks.harmony_talks import text
from castalia.harmony import Style
from castalia.records import Conversation, ResponseFormat, Tool
from castalia.records.conversation import BuiltinTool

FUNCTIONS = tuple(f"tool_{number}" for number in range(4))
_DESCRIPTIONS = ("", "Does it.", "Two\nlines", "a\n\nb\n", "naïve <|end|> 日本", 'He said "so". It\'s 1/2.')
_DEFAULTS = ("d", "", 1, 1.5, -3, True, None, [1, "x"], {"k": "ü"}, "two\nlines")
_LIMITS = (
    {"pattern": "^a"}, {"minimum": 0, "maximum": 9}, {"format": "date"}, {"additionalProperties": False}, {"minItems": 1}, {"const": "a"},
    {"$ref": "#/$defs/x"}, {"anyOf": [{"type": "string"}, {"type": "null"}]}, {"$defs": {"x": {"type": "string"}}},
)  # fmt: skip


def told(rng: random.Random, built_in: tuple[BuiltinTool, ...]) -> dict[str, Any]:
    """Fields of a conversation beside its messages; in some nothing is declared."""
    if rng.random() < 0.15:
        return {"builtin_tools": built_in}
    names = rng.sample(FUNCTIONS, rng.choice((0, 0, 1, 1, 2, 4)))
    formats = rng.choice((0, 0, 0, 1, 2))
    return {
        "builtin_tools": built_in,
        "instructions": "" if rng.random() < 0.3 else text(rng),
        "tools": tuple(Tool(name=name, description=rng.choice(_DESCRIPTIONS), parameters=_parameters(rng)) for name in names),
        "response_formats": tuple(_format(rng, number) for number in range(formats)),
        "effort": rng.choice(("low", "medium", "high")),
        "date": rng.choice((None, "2025-06-28", "2026-01-31")),
    }


def reference_told(harmony: Any, talk: Conversation, style: Style) -> list[Any]:
    """System and developer message as openai-harmony is told them."""
    messages = [harmony.Message.from_role_and_content(harmony.Role.SYSTEM, _system(harmony, talk))] if style.preamble == "full" else []
    contents = _developer(harmony, talk)
    return [*messages, harmony.Message.from_role_and_contents(harmony.Role.DEVELOPER, contents)] if contents else messages


def _system(harmony: Any, talk: Conversation) -> Any:
    effort = getattr(harmony.ReasoningEffort, talk.effort.upper())
    system = harmony.SystemContent.new().with_reasoning_effort(effort)
    system = system.with_conversation_start_date(talk.date) if talk.date else system
    for name in talk.builtin_tools:
        system = system.with_browser_tool() if name == "browser" else system.with_python_tool()
    return system


def _developer(harmony: Any, talk: Conversation) -> list[Any]:
    """Instructions and functions are the reference's own. It has no call for response formats: they are given as the text that the
    published format asks for, behind the functions, or else at the end of the instructions.
    """
    forms = "\n\n".join(["# Response Formats", *(_form(form) for form in talk.response_formats)]) if talk.response_formats else ""
    developer = harmony.DeveloperContent.new()
    if not talk.tools:
        instructions = "\n\n".join(part for part in (talk.instructions, forms) if part)
        if not talk.instructions:
            return [harmony.TextContent(text=forms)] if forms else []
        return [developer.with_instructions(instructions)]
    developer = developer.with_instructions(talk.instructions) if talk.instructions else developer
    functions = [harmony.ToolDescription.new(tool.name, tool.description, parameters=json.loads(tool.parameters)) for tool in talk.tools]
    return [developer.with_function_tools(functions), *([harmony.TextContent(text=f"\n\n{forms}")] if forms else [])]


def _form(form: ResponseFormat) -> str:
    notes = "".join(f"// {line}\n" for line in form.description.split("\n")) if form.description else ""
    return f"## {form.name}\n\n{notes}{json.dumps(json.loads(form.json_schema), ensure_ascii=False, separators=(',', ':'))}"


def _format(rng: random.Random, number: int) -> ResponseFormat:
    description = rng.choice(("", "A list.", "A word.\nOr two."))
    return ResponseFormat(
        name=f"shape_{number}", description=description, json_schema=json.dumps(_schema(rng, 2), ensure_ascii=rng.random() < 0.5)
    )


def _parameters(rng: random.Random) -> str:
    if rng.random() < 0.1:
        return "null"
    properties = {name: _noted(rng, _schema(rng, 2)) for name in rng.sample(("a", "b", "long_name"), rng.randint(0, 3))}
    required = rng.sample(("a", "b"), rng.randint(0, 2))
    return json.dumps(_noted(rng, {"type": "object", "properties": properties, "required": required}), ensure_ascii=rng.random() < 0.5)


def _schema(rng: random.Random, depth: int) -> dict[str, Any]:
    kind = rng.random()
    if depth == 0 or kind < 0.5:
        return rng.choice(
            (
                {"type": rng.choice(("string", "number", "integer", "boolean", "array", "object", "null"))},
                {"type": "string", "enum": rng.sample(("a", "b c", "ü", ""), rng.randint(0, 3))},
                {"type": rng.sample(("string", "integer", "null"), rng.randint(0, 2))},
                {"type": "integer", "enum": [1, 2]},
                {"enum": ["a", "b"]},
                {},
            )
        )
    if kind < 0.7:
        names = rng.sample(("p", "q", "long_name"), rng.randint(0, 3))
        properties = {name: _noted(rng, _schema(rng, depth - 1)) for name in names}
        return {"type": "object", "properties": properties, "required": rng.sample(("p", "q"), rng.randint(0, 2))}
    if kind < 0.85:
        return {"type": "array", "items": _noted(rng, _schema(rng, depth - 1))}
    return {"oneOf": [_noted(rng, _schema(rng, depth - 1)) for _ in range(rng.randint(0, 3))]}


def _noted(rng: random.Random, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with some of the notes that the form shows, and of the limits that it doesn't."""
    notes: dict[str, Any] = {}
    if rng.random() < 0.4:
        notes["description"] = rng.choice(_DESCRIPTIONS)
    if rng.random() < 0.1:
        notes["title"] = "T"
    if rng.random() < 0.2:
        notes["default"] = rng.choice(_DEFAULTS)
    if rng.random() < 0.1:
        notes["nullable"] = rng.random() < 0.5
    if rng.random() < 0.1:
        notes["examples"] = rng.sample(("x", 3, "ü"), rng.randint(0, 2))
    return {**schema, **notes, **(rng.choice(_LIMITS) if rng.random() < 0.15 else {})}
