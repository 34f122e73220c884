"""What the ledger is told and what it tells."""

from typing import Literal, NamedTuple

from castalia.oracle.calls import ModelAnswer
from castalia.oracle.prices import TokenPrice

State = Literal["planned", "sent", "done", "failed", "in_doubt"]
Outcome = Literal["answered", "rejected", "unsent", "unknown", "in_doubt"]


class Intent(NamedTuple):
    """A call as it is written down before anything is sent. Money in nano-dollars, prices in nano-dollars per token."""

    key: str
    request: str
    """JSON of everything that can change the answer, in the order it is asked; `key` is its sha256."""
    redacted: bool
    """Whether a secret was masked in `request`, which then no longer hashes to `key`."""
    stage: str
    role: str
    prompt: str
    subject: str
    prompt_sha256: str
    sample: int
    provider: str
    base_url: str
    model: str
    sampling: str
    system_sha256: str
    price_in: int
    price_out: int
    price_cached: int
    """Of input read from the provider's prompt cache."""
    price_written: int
    """Of input written to it."""
    worst: int
    repair_of: str | None = None
    repair_reason: str | None = None
    note: str = ""

    @property
    def price(self) -> TokenPrice:
        """What its tokens cost."""
        return TokenPrice("", self.price_in, self.price_out, self.price_cached, self.price_written)


class Reading(NamedTuple):
    """What a committed answer's envelope says, as far as accounts are concerned."""

    tokens_in: int
    tokens_out: int
    tokens_estimated: bool
    cost: int
    stop: str
    model: str
    note: str = ""
    tokens_cached: int = 0
    """Of the input, read from the provider's prompt cache."""
    tokens_reasoning: int = 0
    """Of the output, never shown."""


class Sent(NamedTuple):
    """The intent is committed: the socket may open."""

    fence: int
    attempt: int
    """Number of the attempt, from 1."""
    call_id: int
    attempt_id: int
    worst: int
    """Reserved for it, in nano-dollars."""
    sent_at: float
    is_first: bool
    """Whether this attempt wrote the call down, so that the row holds exactly its intent."""


class Done(NamedTuple):
    """The call was answered, now or earlier."""

    key: str
    raw: bytes
    said: ModelAnswer | None = None
    """What the bytes say, where they were read already."""


class Theirs(NamedTuple):
    """Another process holds the lease."""

    owner: str


class NoMoney(NamedTuple):
    """The call could exceed the budget. Nano-dollars."""

    spent: int
    in_flight: int
    in_doubt: int
    written_off: int


class LedgerCall(NamedTuple):
    """Everything known about one call, for provenance. USD; times are seconds since 1970, UTC."""

    key: str
    state: State
    stage: str
    role: str
    prompt: str
    subject: str
    prompt_sha256: str
    sample: int
    provider: str
    base_url: str
    model: str
    answered_model: str | None
    sampling: str
    system_sha256: str
    request: str
    raw: bytes | None
    tokens_in: int | None
    tokens_out: int | None
    tokens_estimated: bool
    usd: float | None
    stop: str | None
    repair_of: str | None
    repair_reason: str | None
    note: str
    failure: str | None
    planned_at: float
    sent_at: float | None
    done_at: float | None
    attempts: int


class UsageRow(NamedTuple):
    """Sums for one stage, role and model."""

    stage: str
    role: str
    provider: str
    model: str
    calls: int
    cached: int
    """Answers that came from the ledger instead."""
    repairs: int
    """Of the calls: asked again because an answer could not be used."""
    failed: int
    """Calls given up without an answer."""
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    """Of the input, read from the provider's prompt cache."""
    tokens_reasoning: int
    """Of the output, never shown."""
    usd: float
    """Paid."""
    usd_equivalent: float
    """Paid, or for unpaid calls what they would have cost at `equivalent_price`."""
    equivalent_price: str


class PromptTotals(NamedTuple):
    """What one prompt took of one model so far; squares give the spread of a mean."""

    stage: str
    role: str
    provider: str
    model: str
    prompt: str
    calls: int
    repairs: int
    tokens_in: int
    tokens_out: int
    squares_in: float
    squares_out: float


class Doubt(NamedTuple):
    """An attempt that may have been billed though no answer is here."""

    key: str
    number: int
    stage: str
    role: str
    prompt: str
    subject: str
    provider: str
    model: str
    state: State
    """Of the call now: `done` when a later attempt was answered."""
    outcome: Outcome
    detail: str
    request_id: str
    worst_usd: float
    sent_at: float


class Failure(NamedTuple):
    """Calls of a stage and model that were given up for one reason."""

    stage: str
    prompt: str
    """Of one of them."""
    subject: str
    """Of one of them."""
    model: str
    reason: str
    calls: int


class Money(NamedTuple):
    """USD: paid for done calls, reserved by calls in flight, reserved by calls in doubt, and of doubts settled as billed."""

    spent: float
    in_flight: float
    in_doubt: float
    written_off: float
