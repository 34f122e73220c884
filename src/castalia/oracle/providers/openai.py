"""OpenAI's Chat Completions and Responses, as also spoken by vLLM, SGLang, Ollama, llama.cpp, OpenRouter and Azure.

https://platform.openai.com/docs/api-reference. At Azure `base_url` is the address of the deployment, `query` holds `api-version`, and
`key_header: api-key` sends the key the way Azure wants it.
"""

import json
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from castalia.oracle.answers import schema_value
from castalia.oracle.calls import Ask, ModelAnswer
from castalia.oracle.compact import NotJSON, strict_json
from castalia.oracle.providers.base import HttpProvider, UnreadableAnswer
from castalia.oracle.providers.completions import read_completion, read_completion_stream
from castalia.oracle.providers.event_stream import is_event_stream
from castalia.oracle.providers.responses import read_response, read_response_stream, response_body


class OpenAIProvider(HttpProvider):
    """Either API on any compatible base URL."""

    name = "openai"
    default_base_url = "https://api.openai.com/v1"
    path = "/chat/completions"

    @property
    def endpoint(self) -> str:
        """Of the configured API."""
        return "/responses" if self.config.api == "responses" else self.path

    def body(self, ask: Ask) -> dict[str, Any]:
        """The request."""
        schema = self.native_schema(ask)
        if self.config.api == "responses":
            return {**response_body(self.config, ask, self.system(ask), schema), **self.config.extra_body}
        config = self.config
        messages = [{"role": message.role, "content": message.content} for message in ask.messages]
        if system := self.system(ask):
            messages.insert(0, {"role": "system", "content": system})
        body: dict[str, Any] = {"model": config.model, "messages": messages, self._length_field: config.max_tokens}
        for name, value in (("temperature", config.temperature), ("top_p", config.top_p), ("reasoning_effort", config.effort)):
            if value is not None:
                body[name] = value
        if schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": schema.name, "strict": True, "schema": schema_value(schema)},
            }
        if ask.tools_json is not None:
            body["tools"] = [{"type": "function", "function": tool} for tool in json.loads(ask.tools_json)]
        return {**body, **config.extra_body}

    def wire(self, body: dict[str, Any]) -> dict[str, Any]:
        """With the fields that ask for a stream, and for usage at its end."""
        if not self.is_streamed:
            return body
        return {**body, "stream": True, **({"stream_options": {"include_usage": True}} if self.config.api == "chat" else {})}

    @cached_property
    def _length_field(self) -> str:
        # OpenAI's reasoning models reject `max_tokens`; many compatible servers know only that.
        host = urlsplit(self.base_url).hostname or ""
        return "max_completion_tokens" if host.endswith(("openai.com", "azure.com")) else "max_tokens"

    def credentials(self, key: str) -> dict[str, str]:
        """As OpenAI wants them."""
        return {"Authorization": f"Bearer {key}"}

    @staticmethod
    def read(raw: bytes) -> ModelAnswer:
        """Opens a chat completion, a response, a stream of either, or the line of a batch's results that holds one."""
        try:
            if is_event_stream(raw):
                return read_response_stream(raw) if b'"response.' in raw else read_completion_stream(raw)
            envelope = strict_json(raw)
            if "custom_id" in envelope:
                envelope = envelope["response"]["body"]
            return read_response(envelope) if "output" in envelope and "choices" not in envelope else read_completion(envelope)
        except (NotJSON, LookupError, TypeError, AttributeError) as error:
            raise UnreadableAnswer(f"not an answer of this API ({type(error).__name__}: {error}): {raw[:80]!r}") from error
