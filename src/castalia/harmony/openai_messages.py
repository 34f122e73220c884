"""Messages as the OpenAI API writes them, to and from a conversation.

One assistant message of the API holds the thought (`reasoning_content`), the text and the parallel calls that follow each
other in a conversation. Where that form can't say it (a second thought, an empty preamble, a call of a built-in tool),
the message stands alone with its `channel`, `recipient` and `content_type`, so that nothing is lost.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import ValidationError

from castalia.errors import InputError
from castalia.harmony.declared import (
    NAMESPACE,
    Chat,
    answering,
    answering_name,
    as_arguments,
    content_text,
    joined,
    qualified,
    read_response_format,
    read_tool,
    unqualified,
)
from castalia.records.conversation import Conversation, Effort, Message

_REASONING = ("reasoning_content", "thinking", "reasoning")


def from_openai_messages(
    messages: Sequence[Chat],
    tools: Sequence[Chat] = (),
    *,
    response_format: Chat | None = None,
    effort: Effort = "medium",
    date: str | None = None,
) -> Conversation:
    """The conversation in a list of chat messages; `tools` and `response_format` as in the API.

    Assistant text without a channel is a final, or a preamble on commentary where calls follow in the same message.
    Arguments given as text stay as they are; given as an object they are written as JSON once. Raises InputError, naming
    the message, for what a conversation can't hold.
    """
    instructions: list[str] = []
    out: list[Message] = []
    callers: dict[str, str] = {}
    for number, chat in enumerate(messages):
        try:
            if chat.get("role") in ("system", "developer") and not out:
                instructions.append(content_text(chat.get("content")))
            else:
                out += _messages(chat, callers, out)
        except ValidationError as error:
            raise InputError(f"message {number}: {error.errors()[0]['msg']}") from error
        except InputError as error:
            raise InputError(f"message {number} {error}") from error
    form = read_response_format(response_format) if response_format else None
    return Conversation(
        messages=tuple(out),
        instructions=joined(instructions),
        tools=tuple(read_tool(tool) for tool in tools),
        response_formats=(form,) if form else (),
        effort=effort,
        date=date,
    )


def to_openai_messages(conversation: Conversation) -> list[dict[str, Any]]:
    """Instructions first, then messages with `reasoning_content` and `tool_calls`.

    `from_openai_messages` gives the same messages back, except for the namespace of a result that answers no call. Tools,
    response formats, effort and date are arguments of a request, not messages.
    """
    out: list[dict[str, Any]] = [{"role": "developer", "content": conversation.instructions}] if conversation.instructions else []
    messages = conversation.messages
    waiting: list[tuple[str, str]] = []
    index = 0
    while index < len(messages):
        message = messages[index]
        if message.role == "assistant":
            chat, index = _turn(messages, index)
            waiting += [(call["id"], qualified(call["function"]["name"])) for call in chat.get("tool_calls", ())]
        else:
            chat = {"role": message.role, "content": message.content, **explicit(message)}
            index += 1
        if message.role == "tool" and message.name:
            chat["name"] = answering_name(message.name, messages)
            answered = next((pair for pair in waiting if pair[1] == message.name), None)
            if answered:
                waiting.remove(answered)
                chat["tool_call_id"] = answered[0]
        out.append(chat)
    return out


def explicit(message: Message) -> dict[str, str]:
    """The header fields of a message that are set, by name."""
    return {key: value for key in ("channel", "recipient", "content_type") if (value := getattr(message, key)) is not None}


def is_plain(message: Message | None, channel: str) -> bool:
    """Whether it is assistant text on this channel with nothing more in its header."""
    return message is not None and message.role == "assistant" and explicit(message) == {"channel": channel}


def is_function_call(message: Message | None) -> bool:
    """Whether it calls a declared function with JSON, as `tool_calls` does."""
    return (
        message is not None
        and message.role == "assistant"
        and message.content_type == "json"
        and (message.recipient or "").startswith(NAMESPACE)
    )


def _turn(messages: Sequence[Message], start: int) -> tuple[dict[str, Any], int]:
    """One chat message for as many messages from `start` as it can hold, and the index behind them."""
    index = start
    chat: dict[str, Any] = {"role": "assistant", "content": None}

    def at(place: int) -> Message | None:
        return messages[place] if place < len(messages) else None

    if is_plain(at(index), "analysis") and messages[index].content:
        chat["reasoning_content"] = messages[index].content
        index += 1
    preamble, call = at(index), at(index + 1)
    if (
        preamble
        and is_plain(preamble, "commentary")
        and preamble.content
        and call
        and is_function_call(call)
        and call.channel == "commentary"
    ):
        chat["content"] = preamble.content
        index += 1
    calls: list[dict[str, Any]] = []
    first = at(index)
    while (call := at(index)) and is_function_call(call) and first and call.channel == first.channel:
        function = {"name": unqualified(call.recipient or ""), "arguments": call.content}
        calls.append({"id": f"call_{index}", "type": "function", "function": function})
        index += 1
    if calls and first:
        return chat | {"tool_calls": calls} | ({"channel": first.channel} if first.channel != "commentary" else {}), index
    if first and first.role == "assistant" and first.channel == "final" and first.recipient is None:
        kind = {"content_type": first.content_type} if first.content_type else {}
        return chat | {"content": first.content} | kind, index + 1
    if index > start:
        return chat, index
    return {"role": "assistant", "content": messages[start].content, **explicit(messages[start])}, start + 1


def _messages(chat: Chat, callers: dict[str, str], before: Sequence[Message]) -> list[Message]:
    role, content = chat.get("role"), chat.get("content")
    if role == "assistant":
        return _assistant(chat, callers)
    if role == "user":
        return [Message(role="user", content=content_text(content))]
    if role in ("tool", "function"):
        name = _answering(chat, callers, before)
        channel, kind = chat.get("channel"), chat.get("content_type")
        return [Message(role="tool", name=name, content=content_text(content), channel=channel, content_type=kind)]
    if role in ("system", "developer"):
        raise InputError(f"has role {role!r} behind the first user message: instructions stand before the conversation")
    raise InputError(f"has role {role!r}: use system, developer, user, assistant or tool")


def _assistant(chat: Chat, callers: dict[str, str]) -> list[Message]:
    out: list[Message] = []
    channel, calls = chat.get("channel"), _calls(chat)
    thought = next((chat[key] for key in _REASONING if chat.get(key)), None)
    if thought is not None:
        out.append(Message(role="assistant", content=content_text(thought), channel="analysis"))
    content = content_text(chat.get("content"))
    silent = calls or (thought is not None and chat.get("content") is None)
    if content or not silent:
        said = channel or ("commentary" if calls or chat.get("recipient") else "final")
        kind = chat.get("content_type")
        out.append(Message(role="assistant", content=content, channel=said, recipient=chat.get("recipient"), content_type=kind))
    for call in calls:
        function = call.get("function")
        if not isinstance(function, Mapping) or not isinstance(cast("Chat", function).get("name"), str):
            raise InputError(f"has a tool call without a function name: {dict(call)!r}")
        named = cast("Chat", function)
        recipient = qualified(named["name"])
        if isinstance(call.get("id"), str):
            callers[call["id"]] = recipient
        spoken = channel if channel and not content else "commentary"
        arguments = as_arguments(named.get("arguments"))
        out.append(Message(role="assistant", content=arguments, channel=spoken, recipient=recipient, content_type="json"))
    return out


def _calls(chat: Chat) -> list[Chat]:
    """The calls of a message; the single `function_call` of older data is one of them."""
    calls: Any = chat.get("tool_calls") or []
    if not isinstance(calls, list) or not all(isinstance(call, Mapping) for call in cast("list[Any]", calls)):
        raise InputError(f"has tool_calls {repr(cast('object', calls))[:80]}: give a list of objects")
    older = chat.get("function_call")
    return [*cast("list[Chat]", calls), *([{"function": older}] if older else [])]


def _answering(chat: Chat, callers: Mapping[str, str], before: Sequence[Message]) -> str:
    identity, name = chat.get("tool_call_id"), chat.get("name")
    if isinstance(identity, str) and identity in callers:
        return callers[identity]
    if isinstance(name, str) and name:
        return answering(name, before)
    raise InputError(f"answers tool call {identity!r}, which no message before it made: give the call that id, or the tool's name")
