"""Tool parameters as the TypeScript that GPT-OSS was trained to read.

What JSON schema can say and this form can't (`anyOf`, `$ref`, limits) comes out as `any` or vanishes, as it does in the
reference renderer; `inexpressible` names such keywords so that lint can warn. Not named are `integer`, which every model reads as
`number`, and `additionalProperties: false`, which a list of properties suggests anyway.
"""

import json
from collections.abc import Iterator
from typing import Any, cast

from castalia.errors import InputError
from castalia.harmony.json_text import parse_json
from castalia.records.conversation import Tool

_LOST = (
    "anyOf", "allOf", "not", "$ref", "const", "if", "then", "else", "format", "pattern", "multipleOf", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "prefixItems", "contains",
    "minProperties", "maxProperties", "patternProperties", "propertyNames", "dependentRequired", "dependentSchemas",
)  # fmt: skip
_SIMPLE = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean"}

Schema = dict[str, Any]


def declaration(tool: Tool) -> str:
    """`type f = (_: {...}) => any;` under its description. Raises InputError when the tool's parameters aren't JSON."""
    schema = parameters_of(tool)
    arguments = "" if schema is None else f"_: {typescript(schema)}"
    return f"{comment(tool.description)}type {tool.name} = ({arguments}) => any;\n\n"


def comment(description: str) -> str:
    """A description as comment lines; nothing for an empty one."""
    return "".join(f"// {line}\n" for line in description.replace("\r\n", "\n").removesuffix("\n").split("\n") if description)


def parameters_of(tool: Tool) -> Any:
    """The tool's JSON schema, None for a function without arguments (`null`). Raises InputError when the text isn't JSON."""
    return schema_of(tool.parameters, f"tool {tool.name!r} has parameters")


def schema_of(text: str, what: str) -> Any:
    """A JSON schema kept as text. Raises InputError naming `what` has it when it isn't JSON."""
    try:
        return parse_json(text)
    except ValueError as error:
        raise InputError(f"{what} {text[:80]!r}, which is no JSON ({error}): give a JSON schema as text") from error


def typescript(schema: Any, indent: str = "") -> str:
    """The type of one schema. `indent` is put before continued lines."""
    if not isinstance(schema, dict):
        return "any"
    node = cast("Schema", schema)
    variants = node.get("oneOf")
    if isinstance(variants, list):
        return "".join(
            f"\n{indent} | {_nullable(variant, indent + '   ')}{_trailing(_variant_notes(variant))}"
            for variant in cast("list[Any]", variants)
        )
    kind = node.get("type")
    if isinstance(kind, list):
        names = [name for name in cast("list[Any]", kind) if isinstance(name, str)]
        if names:
            return " | ".join("number" if name == "integer" else name for name in names)
    if kind == "object":
        return _object(node, indent)
    if kind == "array":
        return f"{typescript(node['items'], indent)}[]" if "items" in node else "Array<any>"
    if kind == "string":
        choices = [f'"{value}"' for value in _items(node, "enum") if isinstance(value, str)]
        return " | ".join(choices) or "string"
    return _SIMPLE.get(kind, "any") if isinstance(kind, str) else "any"


def inexpressible(schema: Any) -> Iterator[str]:
    """Keywords anywhere in the schema whose meaning the model won't see."""
    if isinstance(schema, dict):
        node = cast("Schema", schema)
        yield from (word for word in _LOST if word in node)
        yield from _unseen(node)
        properties = node.get("properties")
        if isinstance(properties, dict):
            for value in cast("Schema", properties).values():
                yield from inexpressible(value)
        for word in ("items", "additionalProperties"):
            yield from inexpressible(node.get(word))
        for word in ("oneOf", "anyOf", "allOf"):
            for value in _items(node, word):
                yield from inexpressible(value)


def _unseen(node: Schema) -> Iterator[str]:
    """Keywords that `typescript` writes for another type only."""
    kind = None if isinstance(node.get("oneOf"), list) else node.get("type")
    if "properties" in node and kind != "object":
        yield "properties"
    if "items" in node and kind != "array":
        yield "items"
    if "enum" in node and not (kind == "string" and all(isinstance(value, str) for value in _items(node, "enum"))):
        yield "enum"
    if isinstance(node.get("additionalProperties"), dict):
        yield "additionalProperties"


def _object(node: Schema, indent: str) -> str:
    lines = [f"{indent}// {node['description']}\n"] if isinstance(node.get("description"), str) else []
    lines.append("{\n")
    required = {name for name in _items(node, "required") if isinstance(name, str)}
    properties = node.get("properties")
    if isinstance(properties, dict):
        for name, value in cast("Schema", properties).items():
            label = f"{indent}{name}{'' if name in required else '?'}:"
            child = cast("Schema", value) if isinstance(value, dict) else {}
            variants = child.get("oneOf")
            lines += _notes_above(child, indent)
            if isinstance(variants, list):
                lines += _alternatives(label, child, cast("list[Any]", variants), indent)
            else:
                note = _trailing([f"default: {_default(child)}"] if "default" in child else [])
                lines.append(f"{label} {_nullable(child, indent + '    ')},{note}\n")
    lines.append(f"{indent}}}")
    return "".join(lines)


def _notes_above(child: Schema, indent: str) -> Iterator[str]:
    if isinstance(child.get("title"), str):
        yield f"{indent}// {child['title']}\n{indent}//\n"
    if "oneOf" not in child and isinstance(child.get("description"), str):
        yield f"{indent}// {child['description']}\n"
    examples = _items(child, "examples")
    if examples:
        yield f"{indent}// Examples:\n"
        yield from (f'{indent}// - "{example}"\n' for example in examples if isinstance(example, str))


def _alternatives(label: str, child: Schema, variants: list[Any], indent: str) -> Iterator[str]:
    """A property that is one of several types: its description stands above unless the first variant repeats it."""
    description = child.get("description") if isinstance(child.get("description"), str) else None
    above = description is not None and not (variants and _text(variants[0], "description") == description)
    if above:
        yield f"{indent}// {description}\n"
    if "default" in child:
        yield f"{indent}// default: {_default(child)}\n"
    yield f"{label}\n"
    for number, variant in enumerate(variants):
        own = _text(variant, "description")
        notes = [own] if own is not None and own != description and not (number == 0 and above) else []
        if isinstance(variant, dict) and "default" in variant:
            notes.append(f"default: {_default(cast('Schema', variant))}")
        yield f"{indent} | {_nullable(variant, indent + '   ')}{_trailing(notes)}\n"
    yield f"{indent},\n"


def _variant_notes(variant: Any) -> list[str]:
    """Description and default behind a variant of a nested `oneOf`, where defaults of enumerations keep their quotes."""
    own = _text(variant, "description")
    notes = [own] if own is not None else []
    if isinstance(variant, dict) and "default" in variant:
        node = cast("Schema", variant)
        plain = isinstance(node["default"], str) and not _items(node, "enum")
        notes.append(f'default: "{node["default"]}"' if plain else f"default: {_json(node['default'])}")
    return notes


def _nullable(schema: Any, indent: str) -> str:
    text = typescript(schema, indent)
    nullable = isinstance(schema, dict) and cast("Schema", schema).get("nullable") is True
    return f"{text} | null" if nullable and "null" not in text else text


def _default(node: Schema) -> str:
    value = node["default"]
    if not isinstance(value, str):
        return _json(value)
    return value if _items(node, "enum") else f'"{value}"'


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _trailing(notes: list[str]) -> str:
    return f" // {' '.join(notes)}" if notes else ""


def _text(schema: Any, key: str) -> str | None:
    value = cast("Schema", schema).get(key) if isinstance(schema, dict) else None
    return value if isinstance(value, str) else None


def _items(node: Schema, key: str) -> list[Any]:
    value = node.get(key)
    return cast("list[Any]", value) if isinstance(value, list) else []
