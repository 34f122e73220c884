"""From a model's text to a value, strictly: schema for the wire, JSON without duplicate keys or NaN, validation, the repair."""

import json
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from castalia.oracle.calls import Schema
from castalia.oracle.compact import NotJSON, compact_json, strict_json

T = TypeVar("T", bound=BaseModel)

INEXPRESSIBLE = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "format",
    "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "default", "title", "examples",
)  # fmt: skip
"""Keywords that at least one JSON-schema mode rejects. Bounds move into the description; validation enforces them afterwards."""

SILENT = frozenset({"default", "title", "examples"})


class Problem(NamedTuple):
    """Why an answer can't be used, in words a model can act on."""

    reason: str


@lru_cache(maxsize=256)
def schema_value(schema: Schema) -> dict[str, Any]:
    """A schema as JSON values, for the body of a request; shared, so not to be changed."""
    return json.loads(schema.text)


@lru_cache(maxsize=256)
def wire_schema(answer: type[BaseModel]) -> Schema:
    """The JSON schema of `answer` in the dialect that all JSON-schema modes take: closed objects, every property required, in its order."""
    return Schema(answer.__name__, compact_json(_tighten(answer.model_json_schema())).decode())


def _tighten(node: Any) -> Any:
    if isinstance(node, list):
        return [_tighten(item) for item in node]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(node, dict):
        return node
    source: dict[str, Any] = node  # pyright: ignore[reportUnknownVariableType]
    result: dict[str, Any] = {}
    bounds: list[str] = []
    for name, value in source.items():
        if name in INEXPRESSIBLE:
            if name not in SILENT:
                bounds.append(f"{name} {value}")
        elif name in ("properties", "$defs"):
            # Names of properties may equal keywords, so only their schemas are visited.
            result[name] = {key: _tighten(child) for key, child in value.items()}
        elif name in ("const", "enum"):
            result[name] = value
        else:
            result[name] = _tighten(value)
    if "properties" in result:
        result["required"] = list(result["properties"])
        result["additionalProperties"] = False
    if bounds:
        result["description"] = f"{result.get('description', '')} ({', '.join(bounds)})".strip()
    return result


@lru_cache(maxsize=256)
def is_expressible(schema: Schema) -> bool:
    """Whether a JSON-schema mode can take it: no free-form objects, no recursion."""
    root = json.loads(schema.text)
    definitions: dict[str, Any] = root.get("$defs", {})

    def closed(node: Any, above: frozenset[str]) -> bool:
        if isinstance(node, list):
            return all(closed(item, above) for item in node)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if not isinstance(node, dict):
            return True
        item: dict[str, Any] = node  # pyright: ignore[reportUnknownVariableType]
        reference = item.get("$ref")
        if isinstance(reference, str):
            name = reference.removeprefix("#/$defs/")
            return name not in above and closed(definitions.get(name), above | {name})
        if item.get("type") == "object" and item.get("additionalProperties") is not False:
            return False
        return all(closed(value, above) for key, value in item.items() if key not in ("$defs", "enum", "const"))

    return closed(root, frozenset())


def schema_instruction(schema: Schema) -> str:
    """The words that ask for the schema where the provider has no mode for it."""
    return f"Answer with one JSON object and nothing else: no prose, no code fence. It must fit this JSON schema:\n{schema.text}"


def validate(text: str, answer: type[T]) -> T | Problem:
    """The answer as `answer`, or why it isn't one. A single code fence around the object is taken off."""
    body = text.strip()
    if body.startswith("```") and body.endswith("```") and "\n" in body:
        body = body[body.index("\n") + 1 : -3].strip()
    try:
        strict_json(body)
        return answer.model_validate_json(body, strict=True)
    except NotJSON as error:
        return Problem(f"it is not one valid JSON object: {error}")
    except ValidationError as error:
        found = [f"{'.'.join(str(part) for part in item['loc']) or 'answer'}: {item['msg']}" for item in error.errors(include_url=False)]
        more = f" (and {len(found) - 8} more)" if len(found) > 8 else ""
        return Problem("it does not fit the schema: " + "; ".join(found[:8]) + more)


def repair_request(problem: Problem) -> str:
    """The message that asks for the same answer again, right this time."""
    return f"That answer can't be used: {problem.reason}. Give the whole answer again, corrected, as one JSON object and nothing else."
