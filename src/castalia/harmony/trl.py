"""Rows of TRL's conversational datasets, to and from a conversation.

Messages are those of the OpenAI API with the thought in `thinking`, arguments as objects and no ids. A row has `messages`, or
`prompt` and `completion`, beside `tools` and `chat_template_kwargs`. Rows of a Castalia release are read, too.
"""

from collections.abc import Mapping
from typing import Any, cast

from castalia.errors import InputError
from castalia.harmony.declared import Chat, as_value, content_text, joined, objects, read_declarations, write_response_format, write_tool
from castalia.harmony.openai_messages import from_openai_messages, to_openai_messages
from castalia.records.conversation import Conversation


def from_trl(row: Chat) -> Conversation:
    """The conversation in a row of TRL's kind. Raises InputError, naming the message, for what it can't hold.

    Read are `messages`, or `prompt` and `completion`; `tools` as objects or as JSON text; the reasoning effort in
    `chat_template_kwargs`, or beside `messages` as `reasoning_effort` or `effort`; `instructions`; `date`; and
    `response_formats`.
    """
    if "messages" in row:
        messages = objects(row["messages"], "'messages'")
    elif "prompt" in row and "completion" in row:
        messages = [*objects(row["prompt"], "'prompt'"), *objects(row["completion"], "'completion'")]
    else:
        raise InputError(f"the row has the keys {sorted(row)}: give 'messages', or 'prompt' and 'completion'")
    settings: Any = row.get("chat_template_kwargs")
    effort = cast("Chat", settings).get("reasoning_effort") if isinstance(settings, Mapping) else None
    declared = read_declarations({**row, "reasoning_effort": effort} if effort else row)
    found = from_openai_messages(messages)
    return found.model_copy(update={**declared, "instructions": joined((content_text(row.get("instructions")), found.instructions))})


def to_trl(conversation: Conversation) -> dict[str, Any]:
    """The row that `from_trl` reads back. Arguments stay text where an object would not give the same text again."""
    messages = to_openai_messages(conversation)
    for chat in messages:
        if chat["role"] == "developer":
            chat["role"] = "system"
        if "reasoning_content" in chat:
            chat["thinking"] = chat.pop("reasoning_content")
        for call in chat.get("tool_calls", ()):
            del call["id"]
            call["function"]["arguments"] = as_value(call["function"]["arguments"])
        chat.pop("tool_call_id", None)
    row: dict[str, Any] = {"messages": messages, "chat_template_kwargs": {"reasoning_effort": conversation.effort}}
    if conversation.tools:
        row["tools"] = [write_tool(tool) for tool in conversation.tools]
    if conversation.response_formats:
        row["response_formats"] = [write_response_format(form) for form in conversation.response_formats]
    return row | ({"date": conversation.date} if conversation.date else {})
