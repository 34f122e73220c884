"""Who plays a role: provider, model and sampling. Roles are what stages ask; configuration says who answers."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, field_validator, model_validator

from castalia.errors import ConfigError
from castalia.oracle.prices import FREE, TokenPrice, listed_price, token_price
from castalia.oracle.recordings import load_recordings
from castalia.records import Frozen, canonical_json

UNBILLED_PROVIDERS = frozenset({"recorded", "batch_file"})
KEY_VARIABLES = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
BATCHING = frozenset({"openai", "anthropic"})
JUDGE_IS_WRITER = "the judge is the writer, and models prefer what they wrote; name another model under oracles.judge"
_CREDENTIALS = frozenset({"authorization", "api-key", "x-api-key", "cookie", "proxy-authorization", "host", "content-length"})


class Prices(Frozen):
    """A price the user vouches for."""

    input: float = Field(ge=0, description="USD per million input tokens.")
    output: float = Field(ge=0, description="USD per million output tokens, reasoning included.")
    cached_input: float | None = Field(None, ge=0, description="The same for input read from the prompt cache; None: as input.")
    cache_write: float | None = Field(None, ge=0, description="The same for input written to the prompt cache; None: as input.")


class RoleConfig(Frozen):
    """Who answers for a role and how it is sampled."""

    provider: str = Field(
        description="`openai`, `anthropic`, `recorded`, `batch_file`, or a name from the entry points `castalia.providers`."
    )
    model: str = Field("", description="Model as the provider calls it; recordings need none.")
    base_url: str | None = Field(None, description="Another server that speaks the provider's protocol, e.g. `http://localhost:8000/v1`.")
    api_key_env: str | None = Field(None, description="Environment variable with the API key; default ANTHROPIC_API_KEY or OPENAI_API_KEY.")
    temperature: float | None = Field(None, ge=0, le=2, description="Sampling temperature; None leaves it to the provider.")
    top_p: float | None = Field(None, gt=0, le=1, description="Nucleus sampling; None leaves it to the provider.")
    max_tokens: int = Field(8192, gt=0, description="Upper bound of one answer in tokens, reasoning included.")
    effort: str | None = Field(None, description="Reasoning effort in the provider's words, e.g. `low`.")
    thinking: Literal["adaptive"] | int | None = Field(
        None,
        description="`anthropic` only: `adaptive`, or a budget of at least 1024 tokens inside `max_tokens`; None leaves it to the model.",
    )
    api: Literal["chat", "responses"] = Field("chat", description="`openai` only: Chat Completions, or the Responses API.")
    batch: bool = Field(False, description="`openai` and `anthropic`: send calls through the batch API, at its price, within a day.")
    stream: bool | None = Field(None, description="Receive answers as an event stream; None does so where the provider needs it.")
    prompt_cache: bool = Field(True, description="`anthropic` only: mark the system prompt for the provider's prompt cache.")
    extra_body: dict[str, Any] = Field(
        default_factory=dict[str, Any], description="More fields of the request, e.g. `seed`, or what only this server knows."
    )
    headers: dict[str, str] = Field(
        default_factory=dict[str, str], description="More headers, e.g. `HTTP-Referer` at OpenRouter; no secrets."
    )
    query: dict[str, str] = Field(default_factory=dict[str, str], description="Parameters of the address, e.g. Azure's `api-version`.")
    key_header: str | None = Field(
        None, description="Header that carries the key as it is, e.g. `api-key` at Azure; None: the provider's own."
    )
    native_schema: Literal["tool"] | bool = Field(
        True, description="Use the provider's JSON-schema mode; `tool` (`anthropic`) a forced tool; False puts the schema into the prompt."
    )
    requests_per_minute: float | None = Field(None, gt=0, description="Limit of the account.")
    tokens_per_minute: float | None = Field(None, gt=0, description="Limit of the account, input and output together.")
    recordings: str | None = Field(None, description="Folder of recorded answers, or of the batch files.")
    prices: Prices | None = Field(None, description="Price to count with instead of the shipped table.")
    _hash: int | None = PrivateAttr(None)

    @field_validator("extra_body", "query")
    @classmethod
    def _in_one_order(cls, value: dict[str, Any]) -> dict[str, Any]:
        # How somebody arranged a file doesn't change what is asked.
        return json.loads(canonical_json(value))

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.provider == "recorded" and not self.recordings:
            raise ValueError("provider 'recorded' needs `recordings`, the folder with the recorded answers")
        if self.provider != "recorded" and not self.model:
            raise ValueError(f"provider {self.provider!r} needs `model`")
        if self.base_url is not None:
            parts = urlsplit(self.base_url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"base_url {self.base_url!r} is not an http(s) address, e.g. http://localhost:8000/v1")
            if parts.username or parts.password:
                raise ValueError("base_url holds a user name or password; name an environment variable in `api_key_env` instead")
        self._check_provider_options()
        secret = next((name for name in self.headers if name.lower() in _CREDENTIALS), None)
        if secret is not None:
            raise ValueError(f"headers name {secret!r}; name the variable with the key in `api_key_env`, and its header in `key_header`")
        bad = next(
            (name for name, value in self.headers.items() if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not value.isprintable()), None
        )
        if bad is not None:
            raise ValueError(f"header {bad!r} is not a plain name with a value of one line")
        return self

    def _check_provider_options(self) -> None:
        if self.batch and self.provider not in BATCHING:
            raise ValueError(f"provider {self.provider!r} has no batch API here; `batch: true` goes with {' or '.join(sorted(BATCHING))}")
        if self.batch and self.stream:
            raise ValueError("a batch is not streamed; leave `stream` out or `batch`")
        if self.api == "responses" and self.provider != "openai":
            raise ValueError(f"`api: responses` goes with provider 'openai', not {self.provider!r}")
        if self.thinking is not None and self.provider != "anthropic":
            raise ValueError(f"`thinking` goes with provider 'anthropic', not {self.provider!r}; use `effort`")
        if self.native_schema == "tool" and self.provider != "anthropic":
            raise ValueError(f"`native_schema: tool` goes with provider 'anthropic', not {self.provider!r}")
        if isinstance(self.thinking, int) and not 1024 <= self.thinking < self.max_tokens:
            raise ValueError(f"thinking {self.thinking} must be at least 1024 and less than max_tokens ({self.max_tokens})")

    def __hash__(self) -> int:
        # Once: a configuration is looked up with every call.
        if self._hash is None:
            self._hash = hash(self.model_dump_json())
        return self._hash

    def price(self, most_in: int = 0) -> TokenPrice | None:
        """What a token costs, or None when nobody knows; `most_in` bounds the tokens of the prompt, which may decide it.

        Shipped prices hold at the vendor's own address only. Configured prices are taken as they are, also for a batch.
        """
        if self.prices is not None:
            own = self.prices
            return token_price("configured", own.input, own.output, usd_cached=own.cached_input, usd_written=own.cache_write)
        if self.provider in UNBILLED_PROVIDERS:
            return FREE
        return listed_price(self.provider, self.model, most_in=most_in, batch=self.batch) if self.base_url is None else None

    def key_variable(self) -> str | None:
        """Name of the environment variable with the API key; None when a server of one's own needs none."""
        if self.api_key_env is not None or self.base_url is not None:
            return self.api_key_env
        return KEY_VARIABLES.get(self.provider)

    def sampling(self) -> dict[str, Any]:
        """What decides how the model is sampled."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "effort": self.effort,
            "native_schema": self.native_schema,
            **({"thinking": self.thinking} if self.thinking is not None else {}),
            **({"api": self.api} if self.api != "chat" else {}),
            **({"extra_body": self.extra_body} if self.extra_body else {}),
        }

    def identity(self, prompts: Sequence[str]) -> dict[str, Any]:
        """What of this role enters a stage's fingerprint; `prompts` are the names of the stage's prompts.

        Addresses, keys, limits and prices never enter. For recordings it is the content of the recorded answers to those
        prompts, so that another recording makes a stage stale and a rearranged folder doesn't.
        """
        if self.provider == "recorded":
            return {"provider": "recorded", "recordings": load_recordings(Path(self.recordings or "")).content_hash(prompts)}
        return {"provider": self.provider, "model": self.model, **self.sampling()}


def role_config(roles: Mapping[str, RoleConfig], role: str) -> RoleConfig:
    """The configuration of `role`, or the writer's where it has none. Raises ConfigError when there is no writer either."""
    config = roles.get(role) or roles.get("writer")
    if config is None:
        raise ConfigError(f"role {role!r} is not configured and there is no 'writer' to stand in; add one under `oracles:`")
    return config


def judge_is_writer(roles: Mapping[str, RoleConfig]) -> bool:
    """Whether verdicts come from the model that wrote the data: self-preference bias, so callers say JUDGE_IS_WRITER."""
    writer = roles.get("writer")
    judge = roles.get("judge", writer)
    if writer is None or judge is None:
        return False
    return (judge.provider, judge.model, judge.base_url, judge.recordings) == (
        writer.provider,
        writer.model,
        writer.base_url,
        writer.recordings,
    )
