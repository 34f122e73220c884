"""Rows in the ShareGPT form, to and from a conversation.

A row is `{"conversations": [{"from": ..., "value": ...}], "system": ..., "tools": ...}` with turns of `human`, `gpt`,
`function_call` (JSON of one call, or of a list of parallel ones) and `observation`; a thought stands in `<think>` before what it
led to. What this form can't say stands alone with its `channel`, so that nothing is lost.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from pydantic import ValidationError

from castalia.errors import InputError
from castalia.harmony.declared import (
    Chat,
    answering,
    answering_name,
    as_arguments,
    as_value,
    content_text,
    joined,
    objects,
    qualified,
    read_declarations,
    unqualified,
    write_response_format,
    write_tool,
)
from castalia.harmony.openai_messages import explicit, is_function_call, is_plain
from castalia.harmony.render import is_call
from castalia.records.conversation import Channel, Conversation, Message

_SPEAKERS: Final = {
    **dict.fromkeys(("human", "user"), "human"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt"), "gpt"),
    **dict.fromkeys(("function_call", "tool_call"), "function_call"),
    **dict.fromkeys(("observation", "tool", "tool_response", "function_response"), "observation"),
    "system": "system",
}
_THOUGHT = re.compile(r"\s*<think>\n?(.*?)\n?</think>\s*(.*)", re.DOTALL)


def from_sharegpt(row: Chat) -> Conversation:
    """The conversation in a row of ShareGPT's kind. Raises InputError, naming the turn, for what it can't hold.

    Results answer the calls before them in order unless they have a `name`. Beside `conversations` are read `system`,
    `tools` (objects or JSON text), `effort`, `date` and `response_formats`.
    """
    turns = objects(row.get("conversations"), "'conversations'")
    instructions = [content_text(row.get("system"))]
    out: list[Message] = []
    waiting: list[str] = []
    for number, turn in enumerate(turns):
        try:
            speaker = _speaker(turn)
            if speaker == "system" and not out:
                instructions.append(_value(turn))
                continue
            follows = number + 1 < len(turns) and _SPEAKERS.get(str(turns[number + 1].get("from"))) == "function_call"
            out += _read(turn, speaker, waiting, out, before_call=follows)
        except ValidationError as error:
            raise InputError(f"turn {number}: {error.errors()[0]['msg']}") from error
        except InputError as error:
            raise InputError(f"turn {number} {error}") from error
    return Conversation(messages=tuple(out), instructions=joined(instructions), **read_declarations(row))


def to_sharegpt(conversation: Conversation) -> dict[str, Any]:
    """The row that `from_sharegpt` reads back."""
    messages = conversation.messages
    turns: list[dict[str, str]] = []
    waiting: list[str] = []
    index = 0
    while index < len(messages):
        message = messages[index]
        if message.role == "assistant":
            turn, behind = _assistant(messages, index)
            waiting += [str(call.recipient) for call in messages[index:behind] if is_call(call)]
            index = behind
        elif message.role == "user":
            turn, index = {"from": "human", "value": message.content}, index + 1
            waiting.clear()
        else:
            turn, index = {"from": "observation", "value": message.content, **explicit(message)}, index + 1
            if not waiting or waiting.pop(0) != message.name:
                turn["name"] = answering_name(str(message.name), messages)
        turns.append(turn)
    row: dict[str, Any] = {"conversations": turns}
    if conversation.instructions:
        row["system"] = conversation.instructions
    if conversation.tools:
        row["tools"] = json.dumps([write_tool(tool)["function"] for tool in conversation.tools], ensure_ascii=False)
    if conversation.response_formats:
        row["response_formats"] = [write_response_format(form) for form in conversation.response_formats]
    return row | {"effort": conversation.effort} | ({"date": conversation.date} if conversation.date else {})


def _assistant(messages: Sequence[Message], start: int) -> tuple[dict[str, str], int]:
    """One turn for as many messages from `start` as it can hold, and the index behind them."""
    index = start
    alone = {"from": "gpt", "value": messages[start].content, **explicit(messages[start])}
    thought = messages[index].content if is_plain(messages[index], "analysis") else None
    index += thought is not None
    said = messages[index] if index < len(messages) else None
    following = messages[index + 1] if index + 1 < len(messages) else None
    goes_on = following is not None and following.role == "assistant"
    if said and is_function_call(said):
        calls: list[dict[str, Any]] = []
        while index < len(messages) and is_function_call(messages[index]) and messages[index].channel == said.channel:
            calls.append({"name": unqualified(messages[index].recipient or ""), "arguments": as_value(messages[index].content)})
            index += 1
        value = json.dumps(calls[0] if len(calls) == 1 else calls, ensure_ascii=False)
        turn = {"from": "function_call", "value": _with_thought(thought, value)}
        turn |= {"channel": str(said.channel)} if said.channel != "commentary" else {}
    elif said and (is_plain(said, "commentary") if is_function_call(following) else is_plain(said, "final") and not goes_on):
        value, index = said.content, index + 1
        turn = {"from": "gpt", "value": _with_thought(thought, value)}
    else:
        return alone, start + 1
    return (turn, index) if _split(turn["value"]) == (thought, value) else (alone, start + 1)


def _read(turn: Chat, speaker: str, waiting: list[str], before: Sequence[Message], *, before_call: bool) -> list[Message]:
    value, channel, kind = _value(turn), turn.get("channel"), turn.get("content_type")
    if speaker == "system":
        raise InputError("is a system turn behind the first turn: instructions stand before the conversation")
    if speaker == "human":
        waiting.clear()
        return [Message(role="user", content=value)]
    if speaker == "observation":
        return [Message(role="tool", content=value, name=_answering(turn, waiting, before), channel=channel, content_type=kind)]
    if speaker == "gpt" and channel:
        message = Message(role="assistant", content=value, channel=channel, recipient=turn.get("recipient"), content_type=kind)
        waiting.extend([str(message.recipient)] if is_call(message) else [])
        return [message]
    thought, rest = _split(value)
    out = [] if thought is None else [Message(role="assistant", content=thought, channel="analysis")]
    if speaker == "gpt":
        return [*out, Message(role="assistant", content=rest, channel="commentary" if before_call else "final")]
    for call in _calls(rest):
        recipient = qualified(call["name"])
        waiting.append(recipient)
        arguments = as_arguments(call.get("arguments"))
        spoken = cast("Channel", channel or "commentary")
        out.append(Message(role="assistant", content=arguments, channel=spoken, recipient=recipient, content_type="json"))
    return out


def _calls(text: str) -> list[Chat]:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is a call {text[:60]!r}, which is no JSON ({error})") from error
    calls = cast("list[Any]", value) if isinstance(value, list) else [value]
    if not calls or not all(isinstance(call, Mapping) and isinstance(cast("Chat", call).get("name"), str) for call in calls):
        raise InputError(f'is a call {text[:60]!r}: give {{"name": ..., "arguments": ...}} or a list of such')
    return cast("list[Chat]", calls)


def _answering(turn: Chat, waiting: list[str], before: Sequence[Message]) -> str:
    first = waiting.pop(0) if waiting else None
    name = turn.get("name")
    if isinstance(name, str) and name:
        return answering(name, before)
    if first is None:
        raise InputError("is a result without a call before it: give the tool's name as 'name'")
    return first


def _speaker(turn: Chat) -> str:
    speaker = turn.get("from")
    if isinstance(speaker, str) and speaker in _SPEAKERS:
        return _SPEAKERS[speaker]
    raise InputError(f"is from {speaker!r}: use system, human, gpt, function_call or observation")


def _value(turn: Chat) -> str:
    value = turn.get("value")
    if not isinstance(value, str):
        raise InputError(f"has the value {repr(cast('object', value))[:60]}: give text")
    return value


def _with_thought(thought: str | None, value: str) -> str:
    return value if thought is None else f"<think>\n{thought}\n</think>\n\n{value}"


def _split(value: str) -> tuple[str | None, str]:
    """The thought before a text, None where there is none, and the text."""
    found = _THOUGHT.fullmatch(value)
    return (found[1] if found[1].strip() else None, found[2]) if found else (None, value)
