"""Anthropic Messages. https://platform.claude.com/docs/en/api/messages

Structured answers use `output_config.format`, generally available from Claude 4.5 on. For older models `native_schema: tool` makes the
model call one tool whose input is the answer; `native_schema: false` puts the schema into the system prompt.
"""

import json
from typing import Any

from castalia.oracle.answers import schema_value
from castalia.oracle.calls import Ask, ModelAnswer, Stop
from castalia.oracle.compact import NotJSON, strict_json
from castalia.oracle.providers.base import HttpProvider, UnreadableAnswer, whole_number
from castalia.oracle.providers.event_stream import is_event_stream, json_events
from castalia.records import canonical_json

STOPS: dict[str, Stop] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
    "tool_use": "tools",
}
ANSWER_TOOL = "give_structured_answer"
STREAM_ABOVE = 16_384
"""Tokens of an answer above which it may take longer than the ten minutes that this API answers without streaming."""


class AnthropicProvider(HttpProvider):
    """The Messages API."""

    name = "anthropic"
    default_base_url = "https://api.anthropic.com"
    path = "/v1/messages"

    @property
    def is_streamed(self) -> bool:
        """Long answers must be."""
        return self.config.max_tokens > STREAM_ABOVE if self.config.stream is None else self.config.stream

    def body(self, ask: Ask) -> dict[str, Any]:
        """The request. System messages of a conversation join the system prompt, where this protocol keeps them."""
        config = self.config
        spoken = [message for message in ask.messages if message.role != "system"]
        system = "\n\n".join(
            [part for part in (self.system(ask), *(item.content for item in ask.messages if item.role == "system")) if part]
        )
        body: dict[str, Any] = {
            "model": config.model,
            "max_tokens": config.max_tokens,
            "messages": [{"role": message.role, "content": message.content} for message in spoken],
        }
        if system:
            body["system"] = system
        for name, value in (("temperature", config.temperature), ("top_p", config.top_p)):
            if value is not None:
                body[name] = value
        if config.thinking is not None:
            budget = {"type": "enabled", "budget_tokens": config.thinking}
            body["thinking"] = {"type": "adaptive"} if config.thinking == "adaptive" else budget
        tools = [
            {"name": tool["name"], "description": tool.get("description", ""), "input_schema": tool["parameters"]}
            for tool in json.loads(ask.tools_json or "[]")
        ]
        output: dict[str, Any] = {}
        schema = self.native_schema(ask)
        if schema is not None and config.native_schema == "tool":
            tools.append({"name": ANSWER_TOOL, "description": "Gives the answer.", "input_schema": schema_value(schema)})
            body["tool_choice"] = {"type": "tool", "name": ANSWER_TOOL}
        elif schema is not None:
            output["format"] = {"type": "json_schema", "schema": schema_value(schema)}
        if config.effort is not None:
            output["effort"] = config.effort
        if output:
            body["output_config"] = output
        if tools:
            body["tools"] = tools
        return {**body, **config.extra_body}

    def wire(self, body: dict[str, Any]) -> dict[str, Any]:
        """With the marks for prompt cache and stream, which change no answer."""
        return {**self.batch_wire(body), **({"stream": True} if self.is_streamed else {})}

    def batch_wire(self, body: dict[str, Any]) -> dict[str, Any]:
        """The system prompt is marked for the cache; below the smallest cacheable size the mark does nothing and costs nothing."""
        if not self.config.prompt_cache or not isinstance(body.get("system"), str):
            return body
        return {**body, "system": [{"type": "text", "text": body["system"], "cache_control": {"type": "ephemeral"}}]}

    def headers(self, key: str | None) -> dict[str, str]:
        """Protocol version and credentials."""
        return {"anthropic-version": "2023-06-01", **super().headers(key)}

    def credentials(self, key: str) -> dict[str, str]:
        """As Anthropic wants them."""
        return {"x-api-key": key}

    @staticmethod
    def read(raw: bytes) -> ModelAnswer:
        """Opens a message, a stream of one, or the line of a batch's results that holds one."""
        try:
            if is_event_stream(raw):
                return _read_message(_assemble(raw))
            envelope = strict_json(raw)
            return _read_message(envelope["result"]["message"] if "custom_id" in envelope else envelope)
        except (NotJSON, LookupError, TypeError, AttributeError) as error:
            raise UnreadableAnswer(f"not a message ({type(error).__name__}: {error}): {raw[:80]!r}") from error


def _read_message(envelope: dict[str, Any]) -> ModelAnswer:
    """Tokens written to or read from the prompt cache are counted apart by this protocol; here they are part of the input."""
    if envelope.get("type") == "error" or envelope.get("error"):
        raise UnreadableAnswer(f"the server put an error into its answer: {canonical_json(envelope.get('error'))[:300]}")
    blocks = envelope["content"]
    used = [block for block in blocks if block["type"] == "tool_use"]
    answers = [canonical_json(block["input"]) for block in used if block["name"] == ANSWER_TOOL]
    calls = [{"name": block["name"], "arguments": canonical_json(block["input"])} for block in used if block["name"] != ANSWER_TOOL]
    text = answers[0] if answers else "".join(block["text"] for block in blocks if block["type"] == "text")
    stop = STOPS.get(str(envelope.get("stop_reason")), "end")
    usage: dict[str, Any] = envelope.get("usage") or {}
    details: dict[str, Any] = usage.get("output_tokens_details") or {}
    written = whole_number(usage.get("cache_creation_input_tokens")) or 0
    cached = whole_number(usage.get("cache_read_input_tokens")) or 0
    tokens_in = whole_number(usage.get("input_tokens"))
    return ModelAnswer(
        text,
        None if tokens_in is None else tokens_in + written + cached,
        whole_number(usage.get("output_tokens")),
        "end" if stop == "tools" and answers and not calls else stop,
        str(envelope.get("model") or ""),
        canonical_json(calls) if calls else "",
        tokens_cached=cached,
        tokens_reasoning=whole_number(details.get("thinking_tokens")) or 0,
        tokens_written=written,
    )


def _assemble(raw: bytes) -> dict[str, Any]:
    """The message that a stream of events amounts to. Raises UnreadableAnswer for a stream without its end."""
    events, _ = json_events(raw)
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    inputs: dict[int, str] = {}
    is_done = False
    for event in events:
        kind = event.get("type")
        if kind == "message_start":
            message = dict(event["message"])
        elif kind == "content_block_start":
            blocks[event["index"]] = dict(event["content_block"])
        elif kind == "content_block_delta":
            block, delta = blocks[event["index"]], event["delta"]
            if delta["type"] == "text_delta":
                block["text"] = block.get("text", "") + delta["text"]
            elif delta["type"] == "input_json_delta":
                inputs[event["index"]] = inputs.get(event["index"], "") + delta["partial_json"]
        elif kind == "message_delta":
            message.update(event["delta"])
            # These counts are running totals.
            message["usage"] = {**(message.get("usage") or {}), **(event.get("usage") or {})} or None
        is_done = is_done or kind == "message_stop"
    if not is_done or not message.get("stop_reason"):
        raise UnreadableAnswer(f"the event stream was cut after {len(events)} events")
    for index, text in inputs.items():
        blocks[index]["input"] = strict_json(text) if text.strip() else {}
    return {**message, "content": [blocks[index] for index in sorted(blocks)]}
