"""What a provider allows per minute: steady buckets, and the headers in which servers tell what is left of them."""

import email.utils
import time
from collections.abc import Mapping
from typing import Literal, NamedTuple

RETRY_AFTER_CAP = 120.0
"""Seconds; servers have been seen to ask for days."""
Kind = Literal["requests", "tokens"]
_HEADERS: tuple[tuple[Kind, str, str], ...] = (
    ("requests", "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests"),
    ("tokens", "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens"),
    ("requests", "anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining"),
)
_ANTHROPIC_TOKENS = ("anthropic-ratelimit-tokens", "anthropic-ratelimit-input-tokens", "anthropic-ratelimit-output-tokens")


class Told(NamedTuple):
    """A quota as a server describes it."""

    kind: Kind
    limit: float
    """Per minute."""
    remaining: float


def told_quotas(headers: Mapping[str, str]) -> list[Told]:
    """Quotas in the headers of an answer. https://platform.openai.com/docs/guides/rate-limits, https://docs.claude.com/en/api/rate-limits

    The times of reset are left out: both vendors give the moment when everything is free again, and the bucket refills before it.
    """
    if not any("ratelimit" in name.lower() for name in headers):
        return []
    found: list[Told] = []
    for kind, limit_name, remaining_name in _HEADERS:
        limit, remaining = _number(headers.get(limit_name)), _number(headers.get(remaining_name))
        if limit and remaining is not None:
            found.append(Told(kind, limit, min(limit, remaining)))
    tokens = _anthropic_tokens(headers)
    return found if tokens is None else [*found, tokens]


def _anthropic_tokens(headers: Mapping[str, str]) -> Told | None:
    """Anthropic's limits of input, of output, and of both, as one of both: as much of it is left as of the one that binds first.

    Their sum alone may look almost free while the smaller output limit is used up. All of them refill within a minute, so shares compare.
    """
    pairs = ((_number(headers.get(f"{name}-limit")), _number(headers.get(f"{name}-remaining"))) for name in _ANTHROPIC_TOKENS)
    told = [(limit, min(limit, remaining)) for limit, remaining in pairs if limit and remaining is not None]
    if not told:
        return None
    limit = max(limit for limit, _ in told)
    return Told("tokens", limit, limit * min(remaining / most for most, remaining in told))


def _number(text: str | None) -> float | None:
    """A finite number that isn't negative, or None."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < 1e12 else None


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds a server asks to wait (RFC 9110 section 10.2.3: seconds or a date), capped; None where it doesn't ask.

    A date is compared with the server's own `Date`, where it sends one, so that a wrong clock on either side does no harm.
    """
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        moment = _moment(value)
        if moment is None:
            return None
        here = _moment(headers.get("Date", "")) if now is None else now
        seconds = moment - (time.time() if here is None else here)
        if seconds < 0:
            return None  # one of the two clocks is wrong, so this says nothing
    # The comparison is written so that NaN ends at the cap.
    return max(0.0, seconds) if seconds <= RETRY_AFTER_CAP else RETRY_AFTER_CAP


def _moment(text: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


class Rate:
    """A bucket that refills steadily and may go into debt: whoever starts while it isn't empty pays the whole cost."""

    def __init__(self, per_minute: float | None):
        self._per_second = per_minute / 60 if per_minute else 0.0
        self._most = max(1.0, self._per_second)
        self._level = self._most
        self._at = time.monotonic()

    def wait(self, now: float) -> float:
        """Seconds until the next call may start."""
        if not self._per_second:
            return 0.0
        self._refill(now)
        # The margin absorbs rounding: a timer may fire a moment early.
        return max(0.0, (min(1.0, self._most) - self._level) / self._per_second) if self._level < 1 - 1e-6 else 0.0

    def take(self, cost: float) -> None:
        """Takes the cost; a negative one gives back what was reserved too much."""
        if self._per_second:
            self._level -= cost

    def learn(self, told: Told, now: float, unseen: float) -> None:
        """What a server says is left. `unseen` is the cost of calls under way, which it may or may not have counted already."""
        is_new = not self._per_second
        self._per_second, self._most = told.limit / 60, told.limit
        if is_new:
            self._level, self._at = told.remaining, now
        else:
            self._refill(now)
        self._level = max(min(self._level, told.remaining), told.remaining - unseen)

    def _refill(self, now: float) -> None:
        self._level = min(self._most, self._level + (now - self._at) * self._per_second)
        self._at = now
