"""Rows of TRL's conversational datasets, to and from a conversation.

Messages are those of the OpenAI API with the thought in `thinking`, arguments as objects and no ids. A row has `messages`, or
`prompt` and `completion`, beside `tools` and `chat_template_kwargs`. Rows of a Castalia release are read, too.
"""

from collections.abc import Mapping
from typing import Any, cast

from castalia.errors import InputError
from castalia.harmony.declared import Chat, as_value, joined, objects, read_declarations, read_tools, write_declarations
from castalia.harmony.openai_messages import from_openai_messages, to_openai_messages
from castalia.harmony.tags import is_system_text, read_beside
from castalia.records.conversation import Conversation


def from_trl(row: Chat) -> Conversation:
    """The conversation in a row of TRL's kind. Raises InputError, naming the message, for what it can't hold.

    Read are `messages`, or `prompt` and `completion`; `tools` and the older `functions`, as objects or as JSON text; the reasoning
    effort and `builtin_tools` in `chat_template_kwargs`, or beside `messages` (the effort as `reasoning_effort` or `effort`);
    `instructions`, `system` and `system_prompt`; `date`; and `response_formats`.
    """
    if "messages" in row:
        messages = objects(row["messages"], "'messages'")
    elif "prompt" in row and "completion" in row:
        messages = [*objects(row["prompt"], "'prompt'"), *objects(row["completion"], "'completion'")]
    else:
        raise InputError(f"the row has the keys {sorted(row)}: give 'messages', or 'prompt' and 'completion'")
    settings: Any = row.get("chat_template_kwargs")
    template: Chat = cast("Chat", settings) if isinstance(settings, Mapping) else {}
    given = {key: template[key] for key in ("reasoning_effort", "builtin_tools") if template.get(key)}
    declared = read_declarations({**row, **given})
    found = from_openai_messages(messages)
    beside = read_beside(row)
    if not declared["tools"]:  # those of the system message
        declared["tools"] = (*read_tools(beside.functions)[0], *found.tools)
    return found.model_copy(update={**declared, "instructions": joined((*beside.instructions, found.instructions))})


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
    declared = write_declarations(conversation)
    settings = {key: declared.pop(key) for key in ("reasoning_effort", "builtin_tools") if key in declared}
    row: dict[str, Any] = {"messages": messages, "chat_template_kwargs": settings}
    if conversation.instructions and not is_system_text(conversation.instructions):
        row["instructions"] = messages.pop(0)["content"]  # as a system message its tags would be read
    return row | declared
