"""What the scripted server does with a request: an act, the catalog of faults, and rules that choose between acts."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from castalia.errors import ConfigError
from castalia.records import Frozen

WireFault = Literal["", "disconnect", "reset", "drip", "cut-chunk", "short-body", "long-body", "gzip-bomb", "cut-stream"]
Stop = Literal["end", "length", "refusal", "tools"]


@dataclass(frozen=True)
class Act:
    """What the server does with one request."""

    text: str = '{"x": 1}'
    status: int = 200
    retry_after: str | None = None
    """The header as sent: seconds, a date, or nonsense."""
    retry_date: float | None = None
    """The header as a date, so many seconds after the request came."""
    delay: float = 0.0
    """Seconds until the answer begins."""
    fault: WireFault = ""
    """How the bytes go wrong: `disconnect` before any byte, `reset` in the middle of the body, `drip` a few bytes at a time,
    `cut-chunk` ends inside a chunk, `short-body` and `long-body` lie in Content-Length, `cut-stream` ends an event stream in the middle."""
    body: bytes | None = None
    """Send exactly this instead of an envelope."""
    content_type: str = "application/json"
    usage: tuple[int, int] | None = (10, 5)
    """Tokens in and out in the envelope; None leaves them out."""
    cached: int = 0
    """Of the tokens in, how many came from the prompt cache."""
    cache_written: int = 0
    """Of the tokens in, how many were written to the prompt cache."""
    reasoning: int = 0
    """Of the tokens out, how many were spent thinking."""
    charge: tuple[int, int] | None = None
    """Tokens on the bill, where they differ from the envelope's."""
    stop: Stop = "end"
    tool_calls: tuple[tuple[str, str], ...] = ()
    """(name, arguments as JSON text) of the tools it calls."""
    model: str = "scripted"
    code: str = ""
    """The error's code, with a status other than 200."""
    message: str = ""
    """The error's words."""
    drip_seconds: float = 0.05
    """Pause between two pieces of a `drip`."""


Script = Callable[[int, str], Act]
"""(number of the request from 0, the user's last message) -> what to do."""


@dataclass(frozen=True)
class RateLimit:
    """The server's own limits, enforced with 429 and told in headers on every answer."""

    requests_per_minute: int
    tokens_per_minute: int = 10_000_000
    retry_after: bool = True


FAULTS: dict[str, Act] = {
    "429": Act(status=429),
    "429-seconds": Act(status=429, retry_after="0.1"),
    "429-date": Act(status=429, retry_date=1.0),
    "429-absurd": Act(status=429, retry_after="31536000"),
    "400": Act(status=400),
    "401": Act(status=401, code="invalid_api_key", message="Incorrect API key provided: sk-scripted-*****"),
    "403": Act(status=403),
    "404": Act(status=404, code="model_not_found"),
    "408": Act(status=408),
    "409": Act(status=409),
    "500": Act(status=500),
    "502": Act(status=502),
    "503": Act(status=503),
    "504": Act(status=504),
    "529": Act(status=529, code="overloaded_error", message="Overloaded"),
    "disconnect": Act(fault="disconnect"),
    "reset": Act(fault="reset"),
    "drip": Act(fault="drip"),
    "cut-chunk": Act(fault="cut-chunk"),
    "short-body": Act(fault="short-body"),
    "long-body": Act(fault="long-body"),
    "gzip-bomb": Act(fault="gzip-bomb"),
    "cut-stream": Act(fault="cut-stream"),
    "html": Act(body=b"<html><body>Sign in to the network</body></html>", content_type="text/html"),
    "empty": Act(body=b""),
    "nan": Act(body=b'{"choices": [{"message": {"content": "x"}}], "content": [], "output": [], "usage": {"input_tokens": NaN}}'),
    "duplicate-keys": Act(body=b'{"choices": [], "choices": [], "content": [], "content": [], "output": [], "output": []}'),
    "error-object": Act(body=b'{"error": {"message": "upstream failed", "code": 502}}'),
    "no-usage": Act(usage=None),
    "other-model": Act(model="another-model"),
    "context": Act(status=400, code="context_length_exceeded", message="This model's maximum context length is 8 tokens."),
    "refusal": Act(text="I can't help with that.", stop="refusal"),
    "length": Act(text='{"x": ', stop="length"),
}
"""One act for everything that is known to go wrong. `refused`, a server that isn't there, is `Server.refusing`."""


class Rule(Frozen):
    """An act and when it happens; without a condition always."""

    act: dict[str, Any] | str = Field(description="Fields of an act, or the name of a fault.")
    contains: str = Field("", description="Only for requests whose last user message contains this.")
    first: int | None = Field(None, ge=0, description="Only for the first so many requests.")
    every: int | None = Field(None, ge=1, description="Only for every n-th request.")
    share: float = Field(1.0, ge=0, le=1, description="Only for this share of the requests, drawn at random.")

    def resolve(self, default: Act) -> Act:
        """The act; fields that are not named are the default's. Raises ConfigError for an unknown fault or field."""
        if isinstance(self.act, str):
            if self.act not in FAULTS:
                raise ConfigError(f"fault {self.act!r} does not exist; there are {', '.join(FAULTS)}")
            return FAULTS[self.act]
        try:
            return TypeAdapter(Act).validate_python({**vars(default), **self.act})
        except (ValidationError, TypeError) as error:
            raise ConfigError(f"act {self.act!r} can't be used: {error}") from error


def script_of(rules: Sequence[Rule], default: Act | None = None, *, seed: int = 0) -> Script:
    """The script that follows the first rule that applies, and otherwise gives the default act."""
    usual = default or Act()
    resolved = [(rule, rule.resolve(usual)) for rule in rules]
    drawn = random.Random(seed)

    def script(number: int, text: str) -> Act:
        for rule, act in resolved:
            if rule.contains not in text or (rule.first is not None and number >= rule.first):
                continue
            if (rule.every is None or (number + 1) % rule.every == 0) and (rule.share == 1.0 or drawn.random() < rule.share):
                return act
        return usual

    return script
