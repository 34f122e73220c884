"""What a token costs: dated data with a source, in whole nano-dollars, so that sums are exact.

One nano-dollar is 1e-9 USD; one USD per million tokens is 1,000 nano-dollars per token. Reasoning is billed as output. Input that the
provider read from its prompt cache is cheaper, input that it wrote to the cache may be dearer: a worst case counts the dearest.
"""

import datetime
import math
import re
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import yaml
from pydantic import Field, TypeAdapter

from castalia.errors import ConfigError
from castalia.records import Frozen

NANO = 1_000_000_000
REFERENCE_PRICE = "claude-sonnet-4-5"
"""Entry at which recorded calls are valued when nobody names another."""


class ListPrice(Frozen):
    """One line of prices.yaml."""

    name: str = Field(description="Name of the entry.")
    provider: Literal["openai", "anthropic"] = Field(description="Who bills it.")
    match: str = Field(description="Regular expression for the whole model name.")
    up_to: int | None = Field(None, gt=0, description="Holds for prompts of at most so many tokens.")
    input: float = Field(ge=0, description="USD per million input tokens.")
    cached_input: float | None = Field(None, ge=0, description="The same for input read from the prompt cache; None: as input.")
    cache_write: float | None = Field(None, ge=0, description="The same for input written to the prompt cache; None: as input.")
    output: float = Field(ge=0, description="USD per million output tokens, reasoning included.")
    batch: float = Field(gt=0, le=1, description="Share of these prices that calls in a batch pay.")
    date: datetime.date = Field(description="Day the price was published, or read from the vendor's page.")
    source: str = Field(description="Where it was published.")


class TokenPrice(NamedTuple):
    """Nano-dollars per token; `name` is the entry, `configured`, or `free`."""

    name: str
    input: int
    output: int
    cached: int
    """Input read from the prompt cache."""
    written: int
    """Input written to the prompt cache."""

    def cost(self, tokens_in: int, tokens_out: int, cached: int = 0, written: int = 0) -> int:
        """Nano-dollars of so many tokens; `cached` and `written` are parts of `tokens_in`."""
        plain = max(0, tokens_in - cached - written)
        return plain * self.input + cached * self.cached + written * self.written + tokens_out * self.output

    def worst(self, most_in: int, most_out: int) -> int:
        """Nano-dollars that a call of at most so many tokens can cost, whatever the prompt cache does."""
        return most_in * max(self.input, self.cached, self.written) + most_out * self.output

    def usd(self, tokens_in: int, tokens_out: int) -> float:
        """USD of so many tokens without a cache, for estimates."""
        return self.cost(tokens_in, tokens_out) / NANO


FREE = TokenPrice("free", 0, 0, 0, 0)


@cache
def token_price(
    name: str, usd_in: float, usd_out: float, *, usd_cached: float | None = None, usd_written: float | None = None, share: float = 1.0
) -> TokenPrice:
    """From USD per million tokens, rounded up to whole nano-dollars so that a budget errs on the safe side."""

    def nano(usd: float) -> int:
        return math.ceil(round(usd * share * 1000, 6))

    cached = usd_in if usd_cached is None else usd_cached
    written = usd_in if usd_written is None else usd_written
    return TokenPrice(name, nano(usd_in), nano(usd_out), nano(cached), nano(written))


@cache
def price_list() -> tuple[ListPrice, ...]:
    """The shipped table."""
    text = Path(__file__).with_name("prices.yaml").read_text(encoding="utf-8")
    return TypeAdapter(tuple[ListPrice, ...]).validate_python(yaml.safe_load(text))


def listed_price(provider: str, model: str, *, most_in: int = 0, batch: bool = False) -> TokenPrice | None:
    """The list price of a model at its own vendor, or None. `most_in` bounds the tokens of the prompt, which may decide the price."""
    return next((price for up_to, price in _prices_of(provider, model, batch) if up_to is None or most_in <= up_to), None)


@cache
def _prices_of(provider: str, model: str, batch: bool) -> tuple[tuple[int | None, TokenPrice], ...]:
    found = [entry for entry in price_list() if entry.provider == provider and re.fullmatch(entry.match, model)]
    return tuple((entry.up_to, _price(entry, batch=batch)) for entry in found)


def named_price(name: str) -> TokenPrice:
    """The entry called `name`. Raises ConfigError with the names there are."""
    for entry in price_list():
        if entry.name == name:
            return _price(entry, batch=False)
    raise ConfigError(f"price entry {name!r} does not exist; there are {', '.join(entry.name for entry in price_list())}")


def _price(entry: ListPrice, *, batch: bool) -> TokenPrice:
    return token_price(
        f"{entry.name}, batch" if batch else entry.name,
        entry.input,
        entry.output,
        usd_cached=entry.cached_input,
        usd_written=entry.cache_write,
        share=entry.batch if batch else 1.0,
    )


def to_usd(nano: int) -> float:
    """Nano-dollars as USD, for people."""
    return nano / NANO


def dollars(nano: int) -> str:
    """Nano-dollars as USD with the digits they need: cents, and below a dollar as many as show two that aren't zero."""
    usd = nano / NANO
    digits = 2 if usd >= 1 or not nano else max(2, 1 - math.floor(math.log10(usd)))
    whole, _, part = f"{usd:,.{digits}f}".partition(".")
    return f"${whole}.{part[:2]}{part[2:].rstrip('0')}"


def to_nano(usd: float) -> int:
    """USD as whole nano-dollars, rounded down: a budget never grows."""
    return math.floor(usd * NANO)
