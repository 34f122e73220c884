"""Answers in each wire format, whole and as event streams, and errors as each vendor words them.

https://platform.openai.com/docs/api-reference (Chat Completions, Responses), https://docs.claude.com/en/api/messages
"""

import json
from typing import Any, Literal

from castalia.oracle.scripted.acts import Act

Api = Literal["chat", "responses", "messages"]
Event = tuple[str, dict[str, Any] | str]
"""(name of the event or nothing, its data)."""


def last_user_text(api: Api, body: dict[str, Any]) -> str:
    """What the user said last."""
    turns: Any = body.get("input" if api == "responses" else "messages") or ""
    content: Any = turns if isinstance(turns, str) else turns[-1].get("content", "")
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content)


def envelope(api: Api, act: Act, number: int) -> dict[str, Any]:
    """A whole answer."""
    return {"chat": _chat, "responses": _responses, "messages": _messages}[api](act, number)


def error_body(api: Api, act: Act) -> bytes:
    """An error in the vendor's words."""
    words = act.message or f"scripted {act.status}"
    if api == "messages":
        kinds = {
            400: "invalid_request_error",
            401: "authentication_error",
            404: "not_found_error",
            429: "rate_limit_error",
            529: "overloaded_error",
        }
        if act.code == "context_length_exceeded":
            words = "prompt is too long: 9 tokens > 8 maximum"
        return json.dumps({"type": "error", "error": {"type": kinds.get(act.status, "api_error"), "message": words}}).encode()
    kind = "invalid_request_error" if act.status < 429 else "server_error"
    return json.dumps({"error": {"message": words, "type": kind, "param": None, "code": act.code or None}}).encode()


def events(api: Api, act: Act, number: int) -> list[bytes]:
    """The same answer as server-sent events, one element per event."""
    made = {"chat": _chat_events, "responses": _responses_events, "messages": _messages_events}[api](act, number)
    return [
        (f"event: {name}\n" if name else "").encode() + b"data: " + (data if isinstance(data, str) else json.dumps(data)).encode() + b"\n\n"
        for name, data in made
    ]


def _halves(text: str) -> list[str]:
    middle = max(1, len(text) // 2)
    return [part for part in (text[:middle], text[middle:]) if part]


# Chat Completions

_CHAT_STOPS = {"end": "stop", "length": "length", "refusal": "stop", "tools": "tool_calls"}


def _chat_usage(act: Act) -> dict[str, Any] | None:
    if act.usage is None:
        return None
    return {
        "prompt_tokens": act.usage[0],
        "completion_tokens": act.usage[1],
        "total_tokens": sum(act.usage),
        "prompt_tokens_details": {"cached_tokens": act.cached},
        "completion_tokens_details": {"reasoning_tokens": act.reasoning},
    }


def _chat_tools(act: Act) -> list[dict[str, Any]]:
    return [
        {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for index, (name, arguments) in enumerate(act.tool_calls)
    ]


def _chat(act: Act, number: int) -> dict[str, Any]:
    refused = act.stop == "refusal"
    message: dict[str, Any] = {"role": "assistant", "content": None if refused else act.text, "refusal": act.text if refused else None}
    if act.tool_calls:
        message["tool_calls"] = _chat_tools(act)
    answer: dict[str, Any] = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": act.model,
        "choices": [{"index": 0, "message": message, "finish_reason": _CHAT_STOPS[act.stop]}],
    }
    if (usage := _chat_usage(act)) is not None:
        answer["usage"] = usage
    return answer


def _chat_events(act: Act, number: int) -> list[Event]:
    frame: dict[str, Any] = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 0, "model": act.model}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> Event:
        return "", {**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    field = "refusal" if act.stop == "refusal" else "content"
    made = [chunk({"role": "assistant", "content": ""}), *(chunk({field: part}) for part in _halves(act.text))]
    for index, call in enumerate(_chat_tools(act)):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        made.append(
            chunk({"tool_calls": [{"index": index, "id": call["id"], "type": "function", "function": {"name": name, "arguments": ""}}]})
        )
        made.extend(chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]}) for part in _halves(arguments))
    made.append(chunk({}, _CHAT_STOPS[act.stop]))
    if (usage := _chat_usage(act)) is not None:
        made.append(("", {**frame, "choices": [], "usage": usage}))
    return [*made, ("", "[DONE]")]


# Responses


def _responses(act: Act, number: int) -> dict[str, Any]:
    part: dict[str, Any] = (
        {"type": "refusal", "refusal": act.text} if act.stop == "refusal" else {"type": "output_text", "text": act.text, "annotations": []}
    )
    output: list[dict[str, Any]] = []
    if act.reasoning:
        output.append({"type": "reasoning", "id": f"rs_{number}", "summary": []})
    output.append({"type": "message", "id": f"msg_{number}", "status": "completed", "role": "assistant", "content": [part]})
    output += [
        {
            "type": "function_call",
            "id": f"fc_{index}",
            "call_id": f"call_{index}",
            "name": name,
            "arguments": arguments,
            "status": "completed",
        }
        for index, (name, arguments) in enumerate(act.tool_calls)
    ]
    cut = act.stop == "length"
    answer: dict[str, Any] = {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 0,
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "model": act.model,
        "output": output,
    }
    if act.usage is not None:
        answer["usage"] = {
            "input_tokens": act.usage[0],
            "input_tokens_details": {"cached_tokens": act.cached},
            "output_tokens": act.usage[1],
            "output_tokens_details": {"reasoning_tokens": act.reasoning},
            "total_tokens": sum(act.usage),
        }
    return answer


def _responses_events(act: Act, number: int) -> list[Event]:
    whole = _responses(act, number)
    begun: dict[str, Any] = {**whole, "status": "in_progress", "output": [], "usage": None}
    made: list[Event] = [("response.created", {"type": "response.created", "response": begun})]
    kind = "response.refusal.delta" if act.stop == "refusal" else "response.output_text.delta"
    made += [(kind, {"type": kind, "item_id": f"msg_{number}", "output_index": 0, "delta": part}) for part in _halves(act.text)]
    last = "response.incomplete" if act.stop == "length" else "response.completed"
    return [*made, (last, {"type": last, "response": whole})]


# Messages

_MESSAGE_STOPS = {"end": "end_turn", "length": "max_tokens", "refusal": "refusal", "tools": "tool_use"}


def _message_usage(act: Act) -> dict[str, Any] | None:
    if act.usage is None:
        return None
    # Here the tokens of the cache are counted apart from the input tokens.
    return {
        "input_tokens": act.usage[0] - act.cached - act.cache_written,
        "cache_creation_input_tokens": act.cache_written,
        "cache_read_input_tokens": act.cached,
        "output_tokens": act.usage[1],
    }


def _message_blocks(act: Act) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if act.reasoning:
        blocks.append({"type": "thinking", "thinking": "scripted thought", "signature": "c2NyaXB0ZWQ="})
    blocks.append({"type": "text", "text": act.text})
    blocks += [
        {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": json.loads(arguments)}
        for index, (name, arguments) in enumerate(act.tool_calls)
    ]
    return blocks


def _messages(act: Act, number: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": act.model,
        "content": _message_blocks(act),
        "stop_reason": _MESSAGE_STOPS[act.stop],
        "stop_sequence": None,
    }
    if (usage := _message_usage(act)) is not None:
        answer["usage"] = usage
    return answer


def _messages_events(act: Act, number: int) -> list[Event]:
    whole = _messages(act, number)
    usage = _message_usage(act)
    begun: dict[str, Any] = {**whole, "content": [], "stop_reason": None}
    if usage is not None:
        begun["usage"] = {**usage, "output_tokens": 1}
    made: list[Event] = [("message_start", {"type": "message_start", "message": begun}), ("ping", {"type": "ping"})]
    empty: dict[str, Any]
    for index, block in enumerate(whole["content"]):
        kind = block["type"]
        if kind == "text":
            empty, deltas = {"type": "text", "text": ""}, [{"type": "text_delta", "text": part} for part in _halves(block["text"])]
        elif kind == "thinking":
            empty = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block["signature"]},
            ]
        else:
            empty = {**block, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in _halves(json.dumps(block["input"]))]
        made.append(("content_block_start", {"type": "content_block_start", "index": index, "content_block": empty}))
        made += [("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas]
        made.append(("content_block_stop", {"type": "content_block_stop", "index": index}))
    ending: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None}}
    if usage is not None:
        ending["usage"] = {"output_tokens": usage["output_tokens"]}
    return [*made, ("message_delta", ending), ("message_stop", {"type": "message_stop"})]
