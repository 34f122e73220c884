"""Chat messages as the OpenAI API writes them, to and from a conversation.

Read are `tool_calls`, reasoning in `thinking`, `reasoning_content` or `reasoning`, and, where present, an explicit
`channel`, `recipient` and `content_type`. Written is one dict per message, with its channel, so that nothing is lost.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import ValidationError

from castalia.errors import InputError
from castalia.records.conversation import Conversation, Message, Tool

_REASONING = ("thinking", "reasoning_content", "reasoning")
_NAMESPACE = "functions."

Chat = Mapping[str, Any]


def from_openai_messages(messages: Sequence[Chat], tools: Sequence[Chat] = ()) -> Conversation:
    """The conversation in a list of chat messages; `tools` as in the API.

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
                instructions.append(_text(chat.get("content")))
            else:
                out += _messages(chat, callers, out)
        except ValidationError as error:
            raise InputError(f"message {number}: {error.errors()[0]['msg']}") from error
        except InputError as error:
            raise InputError(f"message {number} {error}") from error
    return Conversation(messages=tuple(out), instructions="\n\n".join(instructions), tools=tuple(_tool(tool) for tool in tools))


def to_openai_messages(conversation: Conversation) -> list[dict[str, Any]]:
    """One dict per message, instructions first.

    `from_openai_messages` gives the same messages back. Effort, date and tools are not in it.
    """
    out: list[dict[str, Any]] = [{"role": "developer", "content": conversation.instructions}] if conversation.instructions else []
    waiting: list[tuple[str, str]] = []
    for number, message in enumerate(conversation.messages):
        chat: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.channel:
            chat["channel"] = message.channel
        if (
            message.role == "assistant"
            and message.recipient
            and message.recipient.startswith(_NAMESPACE)
            and message.content_type == "json"
        ):
            identity = f"call_{number}"
            waiting.append((identity, message.recipient))
            function = {"name": message.recipient.removeprefix(_NAMESPACE), "arguments": message.content}
            chat |= {"content": None, "tool_calls": [{"id": identity, "type": "function", "function": function}]}
        else:
            chat |= {key: value for key in ("recipient", "content_type") if (value := getattr(message, key)) is not None}
        if message.role == "tool" and message.name:
            chat["name"] = message.name
            answered = next((pair for pair in waiting if pair[1] == message.name), None)
            if answered:
                waiting.remove(answered)
                chat["tool_call_id"] = answered[0]
        out.append(chat)
    return out


def _messages(chat: Chat, callers: dict[str, str], before: Sequence[Message]) -> list[Message]:
    role, content = chat.get("role"), chat.get("content")
    if role == "assistant":
        return _assistant(chat, callers)
    if role == "user":
        return [Message(role="user", content=_text(content))]
    if role == "tool":
        name = _answering(chat, callers, before)
        return [Message(role="tool", name=name, content=_text(content), channel=chat.get("channel"), content_type=chat.get("content_type"))]
    if role in ("system", "developer"):
        raise InputError(f"has role {role!r} behind the first user message: instructions stand before the conversation")
    raise InputError(f"has role {role!r}: use system, developer, user, assistant or tool")


def _assistant(chat: Chat, callers: dict[str, str]) -> list[Message]:
    out: list[Message] = []
    channel, calls = chat.get("channel"), cast("list[Chat]", chat.get("tool_calls") or [])
    thought = next((chat[key] for key in _REASONING if chat.get(key)), None)
    if thought is not None:
        out.append(Message(role="assistant", content=_text(thought), channel="analysis"))
    content = _text(chat.get("content"))
    if content or not (calls or thought is not None):
        said = channel or ("commentary" if calls or chat.get("recipient") else "final")
        out.append(
            Message(role="assistant", content=content, channel=said, recipient=chat.get("recipient"), content_type=chat.get("content_type"))
        )
    for call in calls:
        function = call.get("function")
        if not isinstance(function, Mapping) or not isinstance(cast("Chat", function).get("name"), str):
            raise InputError(f"has a tool call without a function name: {dict(call)!r}")
        named = cast("Chat", function)
        recipient = _qualified(named["name"])
        if isinstance(call.get("id"), str):
            callers[call["id"]] = recipient
        spoken = channel if channel and not content else "commentary"
        out.append(
            Message(role="assistant", content=_arguments(named.get("arguments")), channel=spoken, recipient=recipient, content_type="json")
        )
    return out


def _answering(chat: Chat, callers: Mapping[str, str], before: Sequence[Message]) -> str:
    identity, name = chat.get("tool_call_id"), chat.get("name")
    if isinstance(identity, str) and identity in callers:
        return callers[identity]
    if isinstance(name, str) and name:
        return name if any(message.recipient == name for message in before) else _qualified(name)
    raise InputError(f"answers tool call {identity!r}, which no message before it made: give the call that id, or the tool's name")


def _qualified(name: str) -> str:
    return name if "." in name else _NAMESPACE + name


def _arguments(value: Any) -> str:
    if value is None:
        return "{}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(content: Any) -> str:
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


def _tool(declared: Chat) -> Tool:
    function: Any = declared.get("function", declared)
    if not isinstance(function, Mapping) or not isinstance(cast("Chat", function).get("name"), str):
        raise InputError(f"tool {dict(declared)!r} has no function name")
    named = cast("Chat", function)
    schema = named.get("parameters")
    text = schema if isinstance(schema, str) else json.dumps(schema, ensure_ascii=False)
    return Tool(name=named["name"], description=str(named.get("description") or ""), parameters=text)
