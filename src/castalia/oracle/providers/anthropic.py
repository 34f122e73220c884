"""Anthropic Messages. https://docs.claude.com/en/api/messages

Structured answers use `output_config.format`, generally available from Claude 4.5 on; for models without it set
`native_schema: false`, and the schema goes into the system prompt.
"""

import json
from typing import Any

from castalia.oracle.answers import NotJSON, strict_json
from castalia.oracle.calls import Ask, ModelAnswer, Stop
from castalia.oracle.providers.base import HttpProvider, UnreadableAnswer, whole_number
from castalia.records import canonical_json

STOPS: dict[str, Stop] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
    "tool_use": "tools",
}


class AnthropicProvider(HttpProvider):
    """The Messages API."""

    name = "anthropic"
    default_base_url = "https://api.anthropic.com"
    path = "/v1/messages"

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
        output: dict[str, Any] = {}
        schema = self.native_schema(ask)
        if schema is not None:
            output["format"] = {"type": "json_schema", "schema": json.loads(schema.text)}
        if config.effort is not None:
            output["effort"] = config.effort
        if output:
            body["output_config"] = output
        if ask.tools_json is not None:
            body["tools"] = [
                {"name": tool["name"], "description": tool.get("description", ""), "input_schema": tool["parameters"]}
                for tool in json.loads(ask.tools_json)
            ]
        return body

    def headers(self, key: str | None) -> dict[str, str]:
        """Credentials and protocol version."""
        return {"anthropic-version": "2023-06-01", **({"x-api-key": key} if key else {})}

    @staticmethod
    def read(raw: bytes) -> ModelAnswer:
        """Opens a message. Tokens written to or read from the prompt cache count as input."""
        try:
            envelope = strict_json(raw)
            blocks = envelope["content"]
            text = "".join(block["text"] for block in blocks if block["type"] == "text")
            calls = [
                {"name": block["name"], "arguments": canonical_json(block["input"])} for block in blocks if block["type"] == "tool_use"
            ]
            usage: dict[str, Any] = envelope.get("usage") or {}
            tokens_in = whole_number(usage.get("input_tokens"))
            if tokens_in is not None:
                tokens_in += sum(whole_number(usage.get(name)) or 0 for name in ("cache_creation_input_tokens", "cache_read_input_tokens"))
            stop = STOPS.get(str(envelope.get("stop_reason")), "end")
            return ModelAnswer(
                text,
                tokens_in,
                whole_number(usage.get("output_tokens")),
                stop,
                str(envelope.get("model") or ""),
                canonical_json(calls) if calls else "",
            )
        except (NotJSON, LookupError, TypeError, AttributeError) as error:
            raise UnreadableAnswer(f"not a message ({type(error).__name__}: {error}): {raw[:80]!r}") from error
