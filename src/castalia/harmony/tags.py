"""What stands as tags inside the text of chat data: thoughts, calls, results and declared functions.

`<think>` before an answer; `<tool_call>` with `{"name": ..., "arguments": ...}`, one or several, the last thing the assistant says;
`<tool_response>` in results; and `<tools>` in the system message, as Hermes models and Qwen were trained on them. A tag in a code
block, behind a backtick, or inside prose is text.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

from castalia.errors import InputError
from castalia.harmony.declared import Chat, as_arguments, as_value, content_text, write_tool
from castalia.harmony.json_text import DEEPEST, parse_json, too_deep
from castalia.records.conversation import Tool

_THOUGHT: Final = re.compile(r"\s*<think>\n?(.*?)\n?</think>\s*(.*)", re.DOTALL)
_OPENED: Final = re.compile(r"^[ \t]*<tool_call>|(?<!`)<tool_call>(?=\s*[{\[])", re.MULTILINE)
_CLOSED: Final = re.compile(r"\s*(?:</tool_call>\s*|(?=<tool_call>)|\Z)")
_RESULTS: Final = re.compile(r"\s*(?:<tool_response>(?:(?!</?tool_response>).)*</tool_response>\s*)+", re.DOTALL)
_RESULT: Final = re.compile(r"<tool_response>\n?(.*?)\n?</tool_response>", re.DOTALL)
_TOOLS: Final = re.compile(r"<tools>\s*(?=[\[{])(.*?)</tools>", re.DOTALL)
_CALL_FORM: Final = re.compile(r"<tool_call>\s*\{.*?</tool_call>", re.DOTALL)
_CALL_SCHEMA: Final = re.compile(r"json schema for each tool call", re.IGNORECASE)
_SPACE: Final = re.compile(r"\s*")
_SPACE_AND_COMMAS: Final = re.compile(r"[ \t\r\n,]*")
_SENTENCE: Final = re.compile(r"(?<=[.!?:])[ \t]+|(\n+)")
_ASKED: Final = (
    "Functions you may call are listed in <tools></tools>:\n<tools>\n{tools}\n</tools>\n"
    "Answer a call with one object in <tool_call></tool_call>:\n"
    '<tool_call>\n{{"name": <function-name>, "arguments": <args-object>}}\n</tool_call>'
)


class Call(NamedTuple):
    """A function's name and its arguments as text."""

    name: str
    arguments: str


class Said(NamedTuple):
    """What one text of an assistant holds."""

    thought: str | None
    text: str
    calls: tuple[Call, ...] = ()


def read_said(value: str) -> Said:
    """The thought before a text, the text, and the calls behind it. Raises InputError for calls that can't be read."""
    thought, rest = read_thought(value)
    first = next(_openings(rest), None)
    if first is None:
        return Said(thought, rest)
    calls: list[Call] = []
    at = first.start()
    while at < len(rest):
        opened = _OPENED.match(rest, at)
        if opened is None:
            raise InputError(f"says {rest[at : at + 60]!r} behind a call: the model stops when it has called")
        read, at = _called(rest, opened.end())
        calls += read
    return Said(thought, rest[: first.start()].rstrip(), tuple(calls))


def read_thought(value: str) -> tuple[str | None, str]:
    """The thought before a text, None where there is none, and the text."""
    found = _THOUGHT.fullmatch(value)
    return (found[1] if found[1].strip() else None, found[2]) if found else (None, value)


def is_text(value: str) -> bool:
    """Whether no tag in a text means anything: an assistant that says it says just that."""
    try:
        return read_said(value) == Said(None, value)
    except InputError:
        return False


def write_said(said: Said) -> str:
    """The text that `read_said` reads, where it can."""
    calls = (
        f"<tool_call>\n{json.dumps({'name': call.name, 'arguments': as_value(call.arguments)}, ensure_ascii=False)}\n</tool_call>"
        for call in said.calls
    )
    text = "\n".join([*([said.text] if said.text or not said.calls else []), *calls])
    return text if said.thought is None else f"<think>\n{said.thought}\n</think>\n\n{text}"


def read_calls(text: str) -> list[Call]:
    """Calls from the JSON of one, or of a list of parallel ones. Raises InputError."""
    try:
        value: Any = parse_json(text)
    except ValueError as error:
        raise InputError(f"is a call {text[:60]!r}, which is no JSON ({error})") from error
    return _calls_in(value, text)


def write_calls(calls: tuple[Call, ...]) -> str:
    """The JSON that `read_calls` reads."""
    values = [{"name": call.name, "arguments": as_value(call.arguments)} for call in calls]
    return json.dumps(values[0] if len(values) == 1 else values, ensure_ascii=False)


def read_results(value: str) -> list[tuple[str | None, str]] | None:
    """The tool's name, where it is said, and the text of every result in tags; None for text that is no such results."""
    return [_result(found) for found in _RESULT.findall(value)] if _RESULTS.fullmatch(value) else None


def write_result(name: str, content: str) -> str:
    """A result that `read_results` reads."""
    return f"<tool_response>\n{json.dumps({'name': name, 'content': as_value(content)}, ensure_ascii=False)}\n</tool_response>"


def read_system(value: str) -> tuple[str, list[Chat]]:
    """Instructions without what explains the tags, and the functions declared in `<tools>`.

    Sentences that speak of `<tools>` or `<tool_call>` are left out, because calls in Harmony look different. Raises InputError
    for functions that are no JSON.
    """
    found = _tools(value)
    if found is None:
        return value, []
    before, behind = value[: found.start()].rstrip(), value[found.end() :]
    introduced = _SENTENCE.split(before)
    if before.endswith(":"):
        before = before.removesuffix(str(introduced[-1]))
    return _without_tags(f"{before}\n{behind}"), _declared(found[1].rstrip())


class Beside(NamedTuple):
    """What a row says for the system message, beside its messages."""

    instructions: list[str]
    functions: list[Chat]
    """Those declared in `<tools>`."""


def read_beside(row: Chat) -> Beside:
    """`instructions` word for word; `system` and `system_prompt` as system messages are read. Raises InputError."""
    found = [read_system(content_text(row.get(key))) for key in ("system", "system_prompt")]
    texts = [content_text(row.get("instructions")), *(text for text, _ in found)]
    return Beside(texts, [function for _, functions in found for function in functions])


def is_system_text(value: str) -> bool:
    """Whether no tag in instructions means anything."""
    return _tools(value) is None


def write_system(instructions: str, tools: tuple[Tool, ...]) -> str:
    """The system message that `read_system` reads."""
    if not tools:
        return instructions
    declared = "\n".join(json.dumps(write_tool(tool), ensure_ascii=False) for tool in tools)
    return "\n\n".join(text for text in (instructions, _ASKED.format(tools=declared)) if text)


def _openings(text: str) -> Iterator[re.Match[str]]:
    """Where calls begin: not in a code block."""
    fences = counted = 0
    for found in _OPENED.finditer(text):
        fences += text.count("```", counted, found.start())
        counted = found.start()
        if fences % 2 == 0:
            yield found


def _tools(text: str) -> re.Match[str] | None:
    """Where functions are declared. Looked for before the last end tag only: a start tag without one would be read to the end each time."""
    return _TOOLS.search(text, 0, _end_of_last(text, "</tools>"))


def _end_of_last(text: str, tag: str) -> int:
    last = text.rfind(tag)
    return last + len(tag) if last >= 0 else 0


def _called(text: str, at: int) -> tuple[list[Call], int]:
    """The calls of one tag whose inside begins at `at`, and the index behind the tag."""
    decoder = json.JSONDecoder()
    values: list[Call] = []
    while True:
        at = _behind(_SPACE, text, at)
        if values and (closed := _CLOSED.match(text, at)):
            return values, closed.end()
        try:
            value, behind = _decoded(decoder, text, at)
        except (ValueError, RecursionError) as error:
            end = text.find("</tool_call>", at)
            inside = text[at : end if end >= 0 else len(text)].strip()
            behind = end + len("</tool_call>") if end >= 0 else len(text)
            return _calls_in(_literal(inside, error), inside), _behind(_SPACE, text, behind)
        values += _calls_in(value, text[at:behind])
        at = behind


def _decoded(decoder: json.JSONDecoder, text: str, at: int) -> tuple[Any, int]:
    value, behind = decoder.raw_decode(text, at)
    if behind - at > DEEPEST and too_deep(value):
        raise ValueError(f"deeper than {DEEPEST} levels")
    return value, behind


def _literal(text: str, problem: Exception) -> Any:
    """A call as Python writes it, in single quotes, as much of the published data has it."""
    try:
        return parse_json(json.dumps(ast.literal_eval(text)))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        raise InputError(f"has a call {text[:60]!r}, which is no JSON ({problem})") from problem


def _calls_in(value: Any, text: str) -> list[Call]:
    calls = cast("list[Any]", value) if isinstance(value, list) else [value]
    if not calls or not all(isinstance(call, Mapping) and isinstance(cast("Chat", call).get("name"), str) for call in calls):
        raise InputError(f'is a call {text[:60]!r}: give {{"name": ..., "arguments": ...}} or a list of such')
    named = cast("list[Chat]", calls)
    return [Call(call["name"], as_arguments(call["arguments"] if "arguments" in call else call.get("parameters"))) for call in named]


def _result(inside: str) -> tuple[str | None, str]:
    try:
        value: Any = parse_json(inside)
    except ValueError:
        return None, inside
    if not isinstance(value, dict) or "content" not in value or not {"name", "content", "tool_call_id"}.issuperset(cast("Chat", value)):
        return None, inside
    fields = cast("dict[str, Any]", value)
    name, content = fields.get("name"), fields["content"]
    return name if isinstance(name, str) and name else None, content if isinstance(content, str) else json.dumps(
        content, ensure_ascii=False
    )


def _declared(text: str) -> list[Chat]:
    """Functions from a JSON list, or from one object after the other."""
    decoder = json.JSONDecoder()
    values: list[Any] = []
    at = 0
    try:
        while at < len(text):
            value, at = _decoded(decoder, text, at)
            values += cast("list[Any]", value) if isinstance(value, list) else [value]
            at = _behind(_SPACE_AND_COMMAS, text, at)
    except (ValueError, RecursionError) as error:
        raise InputError(f"declares functions in <tools> {text[:60]!r}, which are no JSON ({error})") from error
    if not all(isinstance(value, Mapping) for value in values):
        raise InputError(f"declares functions in <tools> {text[:60]!r}: give objects")
    return cast("list[Chat]", values)


def _without_tags(text: str) -> str:
    last = _end_of_last(text, "</tool_call>")  # a start tag without an end would be read to the end each time
    text = _CALL_FORM.sub("", text[:last]) + text[last:]
    schema = _call_schema(text)
    if schema:
        start, end = schema
        try:
            _, behind = json.JSONDecoder().raw_decode(text, end)
            text = text[:start].rstrip() + text[behind:]
        except (ValueError, RecursionError):
            text = text[:start] + text[end:]
    parts = _SENTENCE.split(text)
    kept = [part for part in parts if part and "<tool" not in part and "</tool" not in part]
    joined = ""
    for part in kept:
        joined += part if not joined or part.startswith("\n") or joined.endswith("\n") else f" {part}"
    return re.sub(r"\n{3,}", "\n\n", joined).strip()


def _call_schema(text: str) -> tuple[int, int] | None:
    """From the start of the sentence that announces the schema of calls to the brace that opens it, on one line."""
    at = 0
    while found := _CALL_SCHEMA.search(text, at):
        line_end = text.find("\n", found.end())
        line_end = line_end if line_end >= 0 else len(text)
        brace = text.find("{", found.end(), line_end)
        if brace >= 0:
            return max(text.rfind(".", 0, found.start()), text.rfind("\n", 0, found.start())) + 1, brace
        at = line_end
    return None


def _behind(space: re.Pattern[str], text: str, at: int) -> int:
    found = space.match(text, at)
    return found.end() if found else at
