"""Tokens as both OpenAI formats count them: the same object under two pairs of names."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from castalia.oracle.providers.base import whole_number


class Usage(NamedTuple):
    """Counts of one answer; None where the server told none."""

    tokens_in: int | None
    tokens_out: int | None
    cached: int
    reasoning: int
    written: int


def read_usage(envelope: Mapping[str, Any], asked: Literal["prompt", "input"], answered: Literal["completion", "output"]) -> Usage:
    """The `usage` of an answer whose format counts `ASKED_tokens` and `ANSWERED_tokens`."""
    usage: dict[str, Any] = envelope.get("usage") or {}
    details_in: dict[str, Any] = usage.get(f"{asked}_tokens_details") or {}
    details_out: dict[str, Any] = usage.get(f"{answered}_tokens_details") or {}
    return Usage(
        whole_number(usage.get(f"{asked}_tokens")),
        whole_number(usage.get(f"{answered}_tokens")),
        whole_number(details_in.get("cached_tokens")) or 0,
        whole_number(details_out.get("reasoning_tokens")) or 0,
        whole_number(details_in.get("cache_write_tokens")) or 0,
    )
