"""Chat Completions: what an answer says, whole or as a stream. https://platform.openai.com/docs/api-reference/chat"""

from collections.abc import Mapping
from typing import Any

from castalia.oracle.calls import ModelAnswer, Stop
from castalia.oracle.providers.base import UnreadableAnswer
from castalia.oracle.providers.event_stream import json_events
from castalia.oracle.providers.openai_usage import read_usage
from castalia.records import canonical_json

STOPS: dict[str, Stop] = {"stop": "end", "length": "length", "content_filter": "refusal", "tool_calls": "tools", "function_call": "tools"}


def read_completion(envelope: Mapping[str, Any]) -> ModelAnswer:
    """Opens a chat completion. Raises UnreadableAnswer, LookupError, TypeError or AttributeError for anything else."""
    if envelope.get("error"):
        raise UnreadableAnswer(f"the server put an error into its answer: {canonical_json(envelope['error'])[:300]}")
    choice = envelope["choices"][0]
    message = choice["message"]
    text: Any = message.get("content") or ""
    if isinstance(text, list):
        text = "".join(str(part.get("text") or "") for part in text)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType, reportUnknownArgumentType]
    if not isinstance(text, str):
        raise UnreadableAnswer("its content is no text")
    refusal = message.get("refusal")
    calls = [{"name": call["function"]["name"], "arguments": call["function"]["arguments"]} for call in message.get("tool_calls") or ()]
    stop: Stop = "refusal" if refusal else STOPS.get(str(choice.get("finish_reason")), "end")
    usage = read_usage(envelope, "prompt", "completion")
    return ModelAnswer(
        text or str(refusal or ""),
        usage.tokens_in,
        usage.tokens_out,
        stop,
        str(envelope.get("model") or ""),
        canonical_json(calls) if calls else "",
        tokens_cached=usage.cached,
        tokens_reasoning=usage.reasoning,
        tokens_written=usage.written,
    )


def read_completion_stream(raw: bytes) -> ModelAnswer:
    """Puts a streamed completion together. Without a finish reason and `[DONE]` it was cut, and is no answer."""
    chunks, is_done = json_events(raw)
    texts: dict[str, list[str]] = {"content": [], "refusal": []}
    calls: dict[int, dict[str, str]] = {}
    envelope: dict[str, Any] = {"model": "", "usage": None}
    finish: str | None = None
    for chunk in chunks:
        envelope["model"] = chunk.get("model") or envelope["model"]
        envelope["usage"] = chunk.get("usage") or envelope["usage"]
        for choice in chunk["choices"][:1]:
            delta: dict[str, Any] = choice.get("delta") or {}
            for field, parts in texts.items():
                parts.append(delta.get(field) or "")
            for part in delta.get("tool_calls") or ():
                call = calls.setdefault(part["index"], {"name": "", "arguments": ""})
                function: dict[str, Any] = part.get("function") or {}
                call["name"] += function.get("name") or ""
                call["arguments"] += function.get("arguments") or ""
            finish = choice.get("finish_reason") or finish
    if finish is None or not is_done:
        raise UnreadableAnswer(f"the event stream was cut after {len(chunks)} events")
    message = {
        "content": "".join(texts["content"]),
        "refusal": "".join(texts["refusal"]) or None,
        "tool_calls": [{"function": calls[index]} for index in sorted(calls)],
    }
    return read_completion({**envelope, "choices": [{"message": message, "finish_reason": finish}]})
