"""What a provider is: a pure translation between an `Ask` and a wire format. No sockets, no retries, no money here."""

import re
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple
from urllib.parse import urlencode, urlsplit

from castalia.oracle.answers import is_expressible, schema_instruction
from castalia.oracle.calls import Ask, ModelAnswer, Schema
from castalia.oracle.roles import RoleConfig

_TOO_LONG = re.compile(
    r"context[_ ]length|context window|maximum context|prompt is too long|too many tokens|request_too_large", re.IGNORECASE
)
_FILTERED = re.compile(r"content_filter|content management policy|content_policy", re.IGNORECASE)
_SCHEMA_MODE = re.compile(
    r"response_format|json_schema|text\.format|output_config|output_format|structured output|guided|grammar|tool_choice", re.IGNORECASE
)


class UnreadableAnswer(ValueError):
    """Bytes that aren't the provider's envelope: a proxy's error page, a cut body. The call is tried again."""


class LocalAnswer(NamedTuple):
    """An answer that lay ready on this machine."""

    raw: bytes
    model: str
    note: str
    """What a reader of the provenance must know, e.g. `recorded for the example`."""


class Provider(ABC):
    """Translates. `identity` holds everything that can change the answer: its hash is the ledger key."""

    name: ClassVar[str]

    def __init__(self, config: RoleConfig):
        self.config = config

    @abstractmethod
    def identity(self, ask: Ask) -> dict[str, Any]:
        """Everything that can change the answer, as JSON values."""

    @staticmethod
    @abstractmethod
    def read(raw: bytes) -> ModelAnswer:
        """Opens the envelope of committed bytes. Raises UnreadableAnswer."""


class LocalProvider(Provider):
    """Answers without the network and without money."""

    @abstractmethod
    def answer(self, ask: Ask) -> LocalAnswer | None:
        """The answer, or None when there is none here."""

    @abstractmethod
    def missing(self, ask: Ask) -> str:
        """The message for a person when there is none: what is missing and how to get it."""


class Refusal(NamedTuple):
    """What a client error means for the calls that follow."""

    kind: Literal["schema mode", "this request"]
    """The server has no JSON-schema mode for this; or only this request can't be answered, such as one that is too long."""
    words: str


class HttpProvider(Provider):
    """Answers one POST with JSON, or with an event stream."""

    default_base_url: ClassVar[str]
    path: ClassVar[str]
    asks_by_prompt: bool = False
    """Set when the server turned out to have no JSON-schema mode."""

    @property
    def endpoint(self) -> str:
        """Where calls are posted, below the base URL."""
        return self.path

    @abstractmethod
    def body(self, ask: Ask) -> dict[str, Any]:
        """The JSON body as far as it can change the answer."""

    def wire(self, body: dict[str, Any]) -> dict[str, Any]:
        """A body as sent: with what changes the delivery and not the answer, such as streaming."""
        return self.batch_wire(body)

    def batch_wire(self, body: dict[str, Any]) -> dict[str, Any]:
        """A body as it stands in a batch."""
        return body

    @abstractmethod
    def credentials(self, key: str) -> dict[str, str]:
        """Headers with the key; they enter neither key nor ledger."""

    def headers(self, key: str | None) -> dict[str, str]:
        """All headers but the content's."""
        config = self.config
        if not key:
            return dict(config.headers)
        return {**config.headers, **({config.key_header: key} if config.key_header else self.credentials(key))}

    @property
    def is_streamed(self) -> bool:
        """Whether answers come as event streams."""
        return bool(self.config.stream)

    @cached_property
    def base_url(self) -> str:
        """Address without a slash at its end."""
        return (self.config.base_url or self.default_base_url).rstrip("/")

    @cached_property
    def url(self) -> str:
        """Where calls are posted."""
        return self.address(self.endpoint)

    def address(self, path: str) -> str:
        """An address below the base URL, with the configured parameters."""
        query = urlencode(self.config.query)
        return f"{self.base_url}{path}{'?' + query if query else ''}"

    @cached_property
    def is_loopback(self) -> bool:
        """Whether the server runs on this machine, where no proxy belongs in between."""
        return (urlsplit(self.base_url).hostname or "") in ("localhost", "127.0.0.1", "::1")

    def identity(self, ask: Ask) -> dict[str, Any]:
        """The body, where it is sent, and which sample it is."""
        known: dict[str, Any] = {"provider": self.name, "base_url": self.base_url, "body": self.body(ask), "sample": ask.sample}
        return {**known, **({"query": self.config.query} if self.config.query else {})}

    def refusal(self, status: int, raw: bytes, ask: Ask) -> Refusal | None:
        """What a client error concerns, where its words tell; None for the whole model. Only the wording tells the cases apart."""
        words = raw[:4000].decode("utf-8", "replace")
        if status not in (400, 404, 413, 422, 501):
            return None
        if status != 404 and (status == 413 or _TOO_LONG.search(words)):
            return Refusal("this request", "it is longer than the model's context")
        if status != 404 and _FILTERED.search(words):
            return Refusal("this request", "the provider's filter rejected it")
        if self.native_schema(ask) is not None and _SCHEMA_MODE.search(words):
            return Refusal("schema mode", words[:300])
        return None

    def native_schema(self, ask: Ask) -> Schema | None:
        """The schema for the provider's own mode, where the role uses it and it can express the schema."""
        return (
            ask.schema
            if ask.schema is not None and self.config.native_schema and not self.asks_by_prompt and is_expressible(ask.schema)
            else None
        )

    def system(self, ask: Ask) -> str:
        """The system prompt; it carries the schema when no JSON-schema mode does."""
        if ask.schema is None or self.native_schema(ask) is not None:
            return ask.system
        return f"{ask.system}\n\n{schema_instruction(ask.schema)}".strip()


def whole_number(value: Any) -> int | None:
    """A count of tokens, or None for what isn't one: usage is sometimes missing, null or nonsense."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
