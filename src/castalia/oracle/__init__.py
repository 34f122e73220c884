"""The only door to a model: a paid-once ledger, a budget that holds, one client, several providers."""

from castalia.oracle.calls import Ask, ChatMessage, MissingCall, ModelAnswer, Reply, Task, TextReply
from castalia.oracle.client import OracleClient, Stats, open_oracle
from castalia.oracle.ledger import Doubt, Ledger, LedgerCall, Money, PromptTotals, UsageRow, Verification, open_ledger
from castalia.oracle.pending import import_recordings
from castalia.oracle.prices import REFERENCE_PRICE, ListPrice, price_list
from castalia.oracle.providers.base import HttpProvider, LocalAnswer, LocalProvider, Provider, UnreadableAnswer
from castalia.oracle.roles import JUDGE_IS_WRITER, Prices, RoleConfig, judge_is_writer, role_config

__all__ = [
    "JUDGE_IS_WRITER", "REFERENCE_PRICE", "Ask", "ChatMessage", "Doubt", "HttpProvider", "Ledger", "LedgerCall", "ListPrice", "LocalAnswer",
    "LocalProvider", "MissingCall", "ModelAnswer", "Money", "OracleClient", "Prices", "PromptTotals", "Provider", "Reply", "RoleConfig", "Stats", "Task",
    "TextReply", "UnreadableAnswer", "UsageRow", "Verification", "import_recordings", "judge_is_writer", "open_ledger", "open_oracle", "price_list",
    "role_config",
]  # fmt: skip
