"""What a provider is: a pure translation between an `Ask` and a wire format. No sockets, no retries, no money here."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

from castalia.oracle.answers import is_expressible, schema_instruction
from castalia.oracle.calls import Ask, ModelAnswer, Schema
from castalia.oracle.roles import RoleConfig


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


class HttpProvider(Provider):
    """Answers one POST with JSON."""

    default_base_url: ClassVar[str]
    path: ClassVar[str]

    @abstractmethod
    def body(self, ask: Ask) -> dict[str, Any]:
        """The JSON body. Nothing but this, the address and the key is sent."""

    @abstractmethod
    def headers(self, key: str | None) -> dict[str, str]:
        """Headers with the credentials; they enter neither key nor ledger."""

    @property
    def base_url(self) -> str:
        """Address without a slash at its end."""
        return (self.config.base_url or self.default_base_url).rstrip("/")

    @property
    def url(self) -> str:
        """Where calls are posted."""
        return self.base_url + self.path

    @property
    def is_loopback(self) -> bool:
        """Whether the server runs on this machine, where no proxy belongs in between."""
        return (urlsplit(self.base_url).hostname or "") in ("localhost", "127.0.0.1", "::1")

    def identity(self, ask: Ask) -> dict[str, Any]:
        """The body as sent, where it is sent, and which sample it is."""
        return {"provider": self.name, "base_url": self.base_url, "body": self.body(ask), "sample": ask.sample}

    def native_schema(self, ask: Ask) -> Schema | None:
        """The schema for the provider's own mode, where the role uses it and it can express the schema."""
        return ask.schema if ask.schema is not None and self.config.native_schema and is_expressible(ask.schema) else None

    def system(self, ask: Ask) -> str:
        """The system prompt; it carries the schema when no JSON-schema mode does."""
        if ask.schema is None or self.native_schema(ask) is not None:
            return ask.system
        return f"{ask.system}\n\n{schema_instruction(ask.schema)}".strip()


def whole_number(value: Any) -> int | None:
    """A count of tokens, or None for what isn't one: usage is sometimes missing, null or nonsense."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
