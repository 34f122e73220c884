"""What a token costs: dated data with a source, in whole nano-dollars, so that sums are exact.

One nano-dollar is 1e-9 USD; one USD per million tokens is 1,000 nano-dollars per token.
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
    input: float = Field(ge=0, description="USD per million input tokens.")
    output: float = Field(ge=0, description="USD per million output tokens.")
    date: datetime.date = Field(description="Day the price was published.")
    source: str = Field(description="Where it was published.")


class TokenPrice(NamedTuple):
    """Nano-dollars per token; `name` is the entry, `configured`, or `free`."""

    name: str
    input: int
    output: int

    def cost(self, tokens_in: int, tokens_out: int) -> int:
        """Nano-dollars of so many tokens."""
        return tokens_in * self.input + tokens_out * self.output

    def usd(self, tokens_in: int, tokens_out: int) -> float:
        """The same in USD, for estimates."""
        return self.cost(tokens_in, tokens_out) / NANO


FREE = TokenPrice("free", 0, 0)


def token_price(name: str, usd_in: float, usd_out: float) -> TokenPrice:
    """From USD per million tokens, rounded up to whole nano-dollars so that a budget errs on the safe side."""
    return TokenPrice(name, math.ceil(round(usd_in * 1000, 6)), math.ceil(round(usd_out * 1000, 6)))


@cache
def price_list() -> tuple[ListPrice, ...]:
    """The shipped table."""
    text = Path(__file__).with_name("prices.yaml").read_text(encoding="utf-8")
    return TypeAdapter(tuple[ListPrice, ...]).validate_python(yaml.safe_load(text))


def listed_price(provider: str, model: str) -> TokenPrice | None:
    """The list price of a model at its own vendor, or None."""
    for entry in price_list():
        if entry.provider == provider and re.fullmatch(entry.match, model):
            return token_price(entry.name, entry.input, entry.output)
    return None


def named_price(name: str) -> TokenPrice:
    """The entry called `name`. Raises ConfigError with the names there are."""
    for entry in price_list():
        if entry.name == name:
            return token_price(entry.name, entry.input, entry.output)
    raise ConfigError(f"price entry {name!r} does not exist; there are {', '.join(entry.name for entry in price_list())}")


def to_usd(nano: int) -> float:
    """Nano-dollars as USD, for people."""
    return nano / NANO


def to_nano(usd: float) -> int:
    """USD as whole nano-dollars, rounded down: a budget never grows."""
    return math.floor(usd * NANO)
