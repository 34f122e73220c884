"""OpenAI Chat Completions, as spoken by OpenAI, vLLM, SGLang, Ollama, llama.cpp, OpenRouter and Azure.

https://platform.openai.com/docs/api-reference/chat
"""

import json
from typing import Any
from urllib.parse import urlsplit

from castalia.oracle.answers import NotJSON, strict_json
from castalia.oracle.calls import Ask, ModelAnswer, Stop
from castalia.oracle.providers.base import HttpProvider, UnreadableAnswer, whole_number
from castalia.records import canonical_json

STOPS: dict[str, Stop] = {"stop": "end", "length": "length", "content_filter": "refusal", "tool_calls": "tools", "function_call": "tools"}


class OpenAIProvider(HttpProvider):
    """Chat Completions on any compatible base URL."""

    name = "openai"
    default_base_url = "https://api.openai.com/v1"
    path = "/chat/completions"

    def body(self, ask: Ask) -> dict[str, Any]:
        """The request."""
        config = self.config
        messages = [{"role": message.role, "content": message.content} for message in ask.messages]
        if system := self.system(ask):
            messages.insert(0, {"role": "system", "content": system})
        body: dict[str, Any] = {"model": config.model, "messages": messages, self._length_field(): config.max_tokens}
        for name, value in (("temperature", config.temperature), ("top_p", config.top_p), ("reasoning_effort", config.effort)):
            if value is not None:
                body[name] = value
        schema = self.native_schema(ask)
        if schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": schema.name, "strict": True, "schema": json.loads(schema.text)},
            }
        if ask.tools_json is not None:
            body["tools"] = [{"type": "function", "function": tool} for tool in json.loads(ask.tools_json)]
        return body

    def _length_field(self) -> str:
        # OpenAI's reasoning models reject `max_tokens`; many compatible servers know only that.
        host = urlsplit(self.base_url).hostname or ""
        return "max_completion_tokens" if host.endswith(("openai.com", "azure.com")) else "max_tokens"

    def headers(self, key: str | None) -> dict[str, str]:
        """Credentials."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    @staticmethod
    def read(raw: bytes) -> ModelAnswer:
        """Opens a chat completion."""
        return read_completion(raw)


def read_completion(raw: bytes) -> ModelAnswer:
    """Opens a chat completion. Raises UnreadableAnswer for anything else, such as a proxy's page or an error object."""
    try:
        envelope = strict_json(raw)
        choice = envelope["choices"][0]
        message = choice["message"]
        text = message.get("content") or ""
        refusal = message.get("refusal")
        calls = [{"name": call["function"]["name"], "arguments": call["function"]["arguments"]} for call in message.get("tool_calls") or ()]
        usage: dict[str, Any] = envelope.get("usage") or {}
        stop: Stop = "refusal" if refusal else STOPS.get(str(choice.get("finish_reason")), "end")
        tokens = whole_number(usage.get("prompt_tokens")), whole_number(usage.get("completion_tokens"))
        if not isinstance(text, str):
            raise UnreadableAnswer("its content is no text")
        return ModelAnswer(
            text or str(refusal or ""), *tokens, stop, str(envelope.get("model") or ""), canonical_json(calls) if calls else ""
        )
    except (NotJSON, LookupError, TypeError, AttributeError) as error:
        raise UnreadableAnswer(f"not a chat completion ({type(error).__name__}: {error}): {raw[:80]!r}") from error
