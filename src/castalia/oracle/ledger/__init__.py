"""The paid-once ledger: SQLite, write-ahead log, synchronous=FULL."""

from castalia.oracle.ledger.chain import Verification
from castalia.oracle.ledger.ledger import Ledger, open_ledger
from castalia.oracle.ledger.rows import Doubt, LedgerCall, Money, PromptTotals, UsageRow

__all__ = ["Doubt", "Ledger", "LedgerCall", "Money", "PromptTotals", "UsageRow", "Verification", "open_ledger"]
