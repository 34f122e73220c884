"""OpenAI's Responses API: the request, and what an answer says. https://platform.openai.com/docs/api-reference/responses"""

import json
from collections.abc import Mapping
from typing import Any

from castalia.oracle.answers import schema_value
from castalia.oracle.calls import Ask, ModelAnswer, Schema, Stop
from castalia.oracle.providers.base import UnreadableAnswer
from castalia.oracle.providers.event_stream import json_events
from castalia.oracle.providers.openai_usage import read_usage
from castalia.oracle.roles import RoleConfig
from castalia.records import canonical_json

INCOMPLETE: dict[str, Stop] = {"max_output_tokens": "length", "content_filter": "refusal"}


def response_body(config: RoleConfig, ask: Ask, system: str, schema: Schema | None) -> dict[str, Any]:
    """The request. `store` is off: the answer lives in the ledger, not at the vendor."""
    body: dict[str, Any] = {
        "model": config.model,
        "input": [{"role": message.role, "content": message.content} for message in ask.messages],
        "max_output_tokens": config.max_tokens,
        "store": False,
    }
    if system:
        body["instructions"] = system
    for name, value in (("temperature", config.temperature), ("top_p", config.top_p)):
        if value is not None:
            body[name] = value
    if config.effort is not None:
        body["reasoning"] = {"effort": config.effort}
    if schema is not None:
        body["text"] = {"format": {"type": "json_schema", "name": schema.name, "strict": True, "schema": schema_value(schema)}}
    if ask.tools_json is not None:
        body["tools"] = [{"type": "function", "strict": False, **tool} for tool in json.loads(ask.tools_json)]
    return body


def read_response(envelope: Mapping[str, Any]) -> ModelAnswer:
    """Opens a response. Raises UnreadableAnswer, LookupError, TypeError or AttributeError for anything else."""
    if envelope.get("error"):
        raise UnreadableAnswer(f"the server put an error into its answer: {canonical_json(envelope['error'])[:300]}")
    status = envelope.get("status", "completed")
    if status not in ("completed", "incomplete"):
        raise UnreadableAnswer(f"the response is {status!r}, not completed")
    texts: list[str] = []
    refusals: list[str] = []
    calls: list[dict[str, str]] = []
    for item in envelope["output"]:
        if item["type"] == "message":
            texts += [part["text"] for part in item["content"] if part["type"] == "output_text"]
            refusals += [part["refusal"] for part in item["content"] if part["type"] == "refusal"]
        elif item["type"] == "function_call":
            calls.append({"name": item["name"], "arguments": item["arguments"]})
    stop: Stop = "tools" if calls else "end"
    if refusals:
        stop = "refusal"
    elif status == "incomplete":
        details: dict[str, Any] = envelope.get("incomplete_details") or {}
        stop = INCOMPLETE.get(str(details.get("reason")), "length")
    usage = read_usage(envelope, "input", "output")
    return ModelAnswer(
        "".join(texts) or "".join(refusals),
        usage.tokens_in,
        usage.tokens_out,
        stop,
        str(envelope.get("model") or ""),
        canonical_json(calls) if calls else "",
        tokens_cached=usage.cached,
        tokens_reasoning=usage.reasoning,
        tokens_written=usage.written,
    )


def read_response_stream(raw: bytes) -> ModelAnswer:
    """The last event of a stream holds the whole response; without it the stream was cut."""
    events, _ = json_events(raw)
    for event in reversed(events):
        if event.get("type") in ("response.completed", "response.incomplete", "response.failed"):
            return read_response(event["response"])
    raise UnreadableAnswer(f"the event stream was cut after {len(events)} events")
