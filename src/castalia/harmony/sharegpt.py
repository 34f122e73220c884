"""Rows in the ShareGPT form, to and from a conversation.

A row is `{"conversations": [{"from": ..., "value": ...}], "system": ..., "tools": ...}` with turns of `human`, `gpt`,
`function_call` (JSON of one call, or of a list of parallel ones) and `observation`; a thought stands in `<think>` before what it
led to. In Hermes's kind of it, calls and results stand in tags inside the turns of `gpt` and `tool`, and functions in the system
turn. What neither can say stands alone with its `channel`, so that nothing is lost.
"""

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast

from pydantic import ValidationError

from castalia.errors import InputError
from castalia.harmony.declared import (
    Chat,
    answering_name,
    called_on,
    content_text,
    joined,
    objects,
    qualified,
    read_declarations,
    read_tools,
    unqualified,
    write_declarations,
    write_tool,
)
from castalia.harmony.openai_messages import answered, explicit, is_function_call, is_plain
from castalia.harmony.render import is_call
from castalia.harmony.tags import (
    Call,
    Said,
    is_system_text,
    read_beside,
    read_calls,
    read_results,
    read_said,
    read_system,
    read_thought,
    write_calls,
    write_result,
    write_said,
    write_system,
)
from castalia.records.conversation import Channel, Conversation, Message

_SPEAKERS: Final = {
    **dict.fromkeys(("human", "user"), "human"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "model"), "gpt"),
    **dict.fromkeys(("function_call", "function-call", "tool_call"), "function_call"),
    **dict.fromkeys(("observation", "tool", "tool_response", "function_response", "function-response", "function"), "observation"),
    "system": "system",
}


def from_sharegpt(row: Chat) -> Conversation:
    """The conversation in a row of ShareGPT's kind, with calls as turns or in tags. Raises InputError, naming the turn, for what
    it can't hold.

    Results answer the calls before them in order unless they have a `name`. Turns may say `role` and `content` for `from` and
    `value`. Beside `conversations` are read `system`, `system_prompt`, `instructions`, `tools` and `functions` (objects or JSON text),
    `builtin_tools`, `reasoning_effort` or `effort`, `date` and `response_formats`; functions in `<tools>` count where no others are.
    """
    turns = objects(row.get("conversations"), "'conversations'")
    instructions, found = read_beside(row)
    out: list[Message] = []
    waiting: list[tuple[str | None, str]] = []
    for number, turn in enumerate(turns):
        try:
            speaker = _speaker(turn)
            if speaker == "system" and not out:
                text, more = read_system(_value(turn))
                instructions.append(text)
                found = [*found, *more]
                continue
            follows = number + 1 < len(turns) and _SPEAKERS.get(str(_from(turns[number + 1]))) == "function_call"
            out += _read(turn, speaker, waiting, out, before_call=follows)
        except ValidationError as error:
            raise InputError(f"turn {number}: {error.errors()[0]['msg']}") from error
        except InputError as error:
            raise InputError(f"turn {number} {error}") from error
    declared = read_declarations(row)
    if not declared["tools"]:
        declared["tools"] = read_tools(found)[0]
    return Conversation(messages=tuple(out), instructions=joined(instructions), **declared)


def to_sharegpt(conversation: Conversation) -> dict[str, Any]:
    """The row that `from_sharegpt` reads back, calls and results as turns of their own."""
    row: dict[str, Any] = {"conversations": _written(conversation.messages, tags=False)}
    if conversation.instructions:
        row["system" if is_system_text(conversation.instructions) else "instructions"] = conversation.instructions
    if conversation.tools:
        row["tools"] = json.dumps([write_tool(tool)["function"] for tool in conversation.tools], ensure_ascii=False)
    return row | _declared_without_tools(conversation)


def to_hermes(conversation: Conversation) -> dict[str, Any]:
    """The row that `from_sharegpt` reads back, calls and results in tags and functions in the system turn, as for Hermes models."""
    turns = _written(conversation.messages, tags=True)
    row: dict[str, Any] = {"conversations": turns}
    told = write_system(conversation.instructions, conversation.tools)
    text, functions = read_system(told) if is_system_text(conversation.instructions) else ("", [])
    if (text, read_tools(functions)[0]) == (conversation.instructions, conversation.tools):
        turns[:0] = [{"from": "system", "value": told}] if told else []
    else:
        row["instructions"] = conversation.instructions
        row["tools"] = json.dumps([write_tool(tool)["function"] for tool in conversation.tools], ensure_ascii=False)
    return row | _declared_without_tools(conversation)


def _declared_without_tools(conversation: Conversation) -> dict[str, Any]:
    return {key: value for key, value in write_declarations(conversation).items() if key != "tools"}


class _Run(NamedTuple):
    """What one turn of an assistant could hold: a thought, a text, calls; and the index behind them."""

    said: Said
    called_on: str | None
    end: int


def _written(messages: Sequence[Message], *, tags: bool) -> list[dict[str, str]]:
    turns: list[dict[str, str]] = []
    waiting: list[tuple[str | None, str]] = []
    index = 0
    while index < len(messages):
        message = messages[index]
        if message.role == "user":
            turns.append({"from": "human", "value": message.content})
            index += 1
            waiting.clear()
        elif message.role == "tool":
            turn = _result(message, messages[:index], waiting, tags=tags)
            if tags and turns and {**turns[-1], "value": ""} == {**turn, "value": ""} and "name" not in turn:
                turns[-1]["value"] += f"\n{turn['value']}"
            else:
                turns.append(turn)
            index += 1
        else:
            turn, behind = _assistant(messages, index, tags=tags)
            waiting += [(None, str(call.recipient)) for call in messages[index:behind] if is_call(call)]
            turns.append(turn)
            index = behind
    return turns


def _result(message: Message, before: Sequence[Message], waiting: list[tuple[str | None, str]], *, tags: bool) -> dict[str, str]:
    turn = {"from": "tool" if tags else "observation", "value": message.content, **explicit(message)}
    author = str(message.name)
    name = answering_name(author, before)
    first = waiting[0][1] if waiting else None
    if (None, author) in waiting:
        waiting.remove((None, author))
    tagged = write_result(name, message.content)
    if tags and read_results(tagged) == [(name, message.content)]:
        return turn | {"value": tagged}
    return turn if first == author and read_results(message.content) is None else turn | {"name": name}


def _run(messages: Sequence[Message], start: int, *, tags: bool) -> _Run | None:
    """As many messages from `start` as one turn can hold; None where the first must stand alone."""
    index = start
    thought = messages[index].content if is_plain(messages[index], "analysis") else None
    index += thought is not None
    said = messages[index] if index < len(messages) else None
    following = messages[index + 1] if index + 1 < len(messages) else None
    text = ""
    if said and not is_function_call(said):
        last = is_plain(said, "final") and not (following and following.role == "assistant")
        preamble = is_plain(said, "commentary") and is_function_call(following)
        if not last and (not preamble or (tags and not said.content)):
            return None
        text, index = said.content, index + 1
        if last or not tags:
            return _Run(Said(thought, text), None, index)
    calls: list[Call] = []
    first = messages[index] if index < len(messages) else None
    while index < len(messages) and is_function_call(messages[index]) and first and messages[index].channel == first.channel:
        calls.append(Call(unqualified(messages[index].recipient or ""), messages[index].content))
        index += 1
    return _Run(Said(thought, text, tuple(calls)), str(first.channel), index) if calls and first else None


def _assistant(messages: Sequence[Message], start: int, *, tags: bool) -> tuple[dict[str, str], int]:
    """One turn for as many messages from `start` as it can hold, and the index behind them."""
    alone = {"from": "gpt", "value": messages[start].content, **explicit(messages[start])}
    run = _run(messages, start, tags=tags)
    if run is None:
        return alone, start + 1
    if run.said.calls and not tags:
        inside = write_calls(run.said.calls)
        turn = {"from": "function_call", "value": write_said(Said(run.said.thought, inside))}
        turn |= {} if run.called_on == "commentary" else {"channel": str(run.called_on)}
        possible = read_thought(turn["value"]) == (run.said.thought, inside)
    else:
        turn = {"from": "gpt", "value": write_said(run.said)}
        possible = run.called_on in (None, "commentary") and _reads(turn["value"], run.said)
    return (turn, run.end) if possible else (alone, start + 1)


def _reads(value: str, said: Said) -> bool:
    try:
        return read_said(value) == said
    except InputError:
        return False


def _read(
    turn: Chat, speaker: str, waiting: list[tuple[str | None, str]], before: Sequence[Message], *, before_call: bool
) -> list[Message]:
    value, channel, kind = _value(turn), turn.get("channel"), turn.get("content_type")
    if speaker == "system":
        raise InputError("is a system turn behind the first turn: instructions stand before the conversation")
    if speaker == "human":
        waiting.clear()
        return [Message(role="user", content=value)]
    if speaker == "observation":
        return _results(turn, value, waiting, before)
    if speaker == "gpt" and channel:
        message = Message(role="assistant", content=value, channel=channel, recipient=turn.get("recipient"), content_type=kind)
        waiting.extend([(None, str(message.recipient))] if is_call(message) else [])
        return [message]
    thought, rest = read_thought(value)
    called = speaker == "function_call" and not rest.startswith("<tool_call>")
    said = Said(thought, "", tuple(read_calls(rest))) if called else read_said(value)
    out = [] if said.thought is None else [Message(role="assistant", content=said.thought, channel="analysis")]
    if said.text or not said.calls:
        out.append(Message(role="assistant", content=said.text, channel="commentary" if before_call or said.calls else "final"))
    for call in said.calls:
        recipient = qualified(call.name)
        waiting.append((None, recipient))
        usual, written = called_on(recipient)
        spoken = cast("Channel", channel or usual)
        out.append(Message(role="assistant", content=call.arguments, channel=spoken, recipient=recipient, content_type=written))
    return out


def _results(turn: Chat, value: str, waiting: list[tuple[str | None, str]], before: Sequence[Message]) -> list[Message]:
    name = turn.get("name")
    if not name and not waiting and read_results(value) is None:
        raise InputError("is a result without a call before it: give the tool's name as 'name'")
    results = (None if name else read_results(value)) or [(name, value)]
    channel, kind = turn.get("channel"), turn.get("content_type")
    return [
        Message(role="tool", content=text, name=answered(None, author, waiting, before), channel=channel, content_type=kind)
        for author, text in results
    ]


def _from(turn: Chat) -> Any:
    return turn.get("from") or turn.get("role")


def _speaker(turn: Chat) -> str:
    speaker = _from(turn)
    if isinstance(speaker, str) and speaker in _SPEAKERS:
        return _SPEAKERS[speaker]
    raise InputError(
        f"is from {speaker!r}, its keys are {sorted(map(str, turn))}: use system, human, gpt, function_call or observation as 'from'"
    )


def _value(turn: Chat) -> str:
    value = turn["value"] if turn.get("value") is not None else turn.get("content")
    if value is None:
        raise InputError(f"has the value None, its keys are {sorted(map(str, turn))}: give text as 'value'")
    return content_text(value)
