"""From an opened envelope to accounts: tokens and cost, on the safe side where the provider is silent."""

from castalia.oracle.calls import ModelAnswer
from castalia.oracle.ledger.rows import Reading
from castalia.oracle.prices import TokenPrice

CHARACTERS_PER_TOKEN = 4
"""A rule of thumb for English, used only where nobody counted; such counts are marked as estimated."""


def approximate_tokens(text: str) -> int:
    """An estimate, for display and rate limits; never for the budget."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def most_tokens(request: str) -> int:
    """An upper bound of the tokens of a request: a byte-level vocabulary has no token shorter than a byte. Templates add some."""
    return len(request.encode()) + 1024


def reading_of(answer: ModelAnswer, request: str, price: TokenPrice, worst: int) -> Reading:
    """Tokens and cost of an answer. Without usage the cost is the worst case: a budget must hold."""
    counted = answer.tokens_in is not None and answer.tokens_out is not None
    tokens_in = answer.tokens_in if answer.tokens_in is not None else approximate_tokens(request)
    tokens_out = answer.tokens_out if answer.tokens_out is not None else approximate_tokens(answer.text)
    cost = price.cost(tokens_in, tokens_out, answer.tokens_cached, answer.tokens_written) if counted else worst
    note = "the provider reported no usage: charged at its worst case" if not counted and cost else ""
    return Reading(tokens_in, tokens_out, not counted, cost, answer.stop, answer.model, note, answer.tokens_cached, answer.tokens_reasoning)
