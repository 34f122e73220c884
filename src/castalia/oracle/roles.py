"""Who plays a role: provider, model and sampling. Roles are what stages ask; configuration says who answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from castalia.errors import ConfigError
from castalia.oracle.prices import FREE, TokenPrice, listed_price, token_price
from castalia.records import Frozen

UNBILLED_PROVIDERS = frozenset({"recorded", "batch_file"})
KEY_VARIABLES = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}


class Prices(Frozen):
    """A price the user vouches for."""

    input: float = Field(ge=0, description="USD per million input tokens.")
    output: float = Field(ge=0, description="USD per million output tokens.")


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
    native_schema: bool = Field(True, description="Use the provider's JSON-schema mode; False puts the schema into the prompt.")
    requests_per_minute: float | None = Field(None, gt=0, description="Limit of the account.")
    tokens_per_minute: float | None = Field(None, gt=0, description="Limit of the account, input and output together.")
    recordings: str | None = Field(None, description="Folder of recorded answers, or of the batch files.")
    prices: Prices | None = Field(None, description="Price to count with instead of the shipped table.")

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
        return self

    def price(self) -> TokenPrice | None:
        """What a token costs, or None when nobody knows. Shipped prices hold at the vendor's own address only."""
        if self.prices is not None:
            return token_price("configured", self.prices.input, self.prices.output)
        if self.provider in UNBILLED_PROVIDERS:
            return FREE
        return listed_price(self.provider, self.model) if self.base_url is None else None

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
        }

    def identity(self, prompts: Sequence[str]) -> dict[str, Any]:
        """What of this role enters a stage's fingerprint; `prompts` are the names of the stage's prompts.

        Addresses, keys, limits and prices never enter. For recordings it is the content of the recorded answers to those
        prompts, so that another recording makes a stage stale and a rearranged folder doesn't.
        """
        if self.provider == "recorded":
            from castalia.oracle.providers.recorded import load_recordings

            return {"provider": "recorded", "recordings": load_recordings(Path(self.recordings or "")).content_hash(prompts)}
        return {"provider": self.provider, "model": self.model, **self.sampling()}


def role_config(roles: Mapping[str, RoleConfig], role: str) -> RoleConfig:
    """The configuration of `role`, or the writer's where it has none. Raises ConfigError when there is no writer either."""
    config = roles.get(role) or roles.get("writer")
    if config is None:
        raise ConfigError(f"role {role!r} is not configured and there is no 'writer' to stand in; add one under `oracles:`")
    return config


def judge_is_writer(roles: Mapping[str, RoleConfig]) -> bool:
    """Whether verdicts would come from the model that wrote the data: self-preference bias, so callers flag it."""
    judge, writer = role_config(roles, "judge"), role_config(roles, "writer")
    return (judge.provider, judge.model, judge.base_url, judge.recordings) == (
        writer.provider,
        writer.model,
        writer.base_url,
        writer.recordings,
    )
