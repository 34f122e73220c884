"""One call of the oracle: what was asked and answered, which calls repaired it, and what was made from it."""

from collections.abc import Iterator

from castalia.oracle import Ledger, LedgerCall
from castalia.trace.steps import KEY_SHOWN, Step, call_facts


def call_chain(ledger: Ledger, key: str) -> tuple[LedgerCall, list[Step]]:
    """The call whose key starts with `key`, and the steps that show it and its repairs: first the call itself, then the calls it was a
    repair of, then those that repaired it. Raises InputError when there is no such call."""
    call = ledger.call(key)
    earlier: list[LedgerCall] = []
    while (before := (earlier[-1] if earlier else call).repair_of) is not None:
        earlier.append(ledger.call(before))
    steps = [Step(0, "oracle", call.key, call_facts(call))]
    steps += [Step(1, "repair of", repaired.key[:KEY_SHOWN], call_facts(repaired)) for repaired in earlier]
    steps += [Step(1, "repaired by", repair.key[:KEY_SHOWN], call_facts(repair)) for repair in _repairs(ledger, call.key)]
    return call, steps


def _repairs(ledger: Ledger, key: str) -> Iterator[LedgerCall]:
    for repair in ledger.repairs(key):
        yield ledger.call(repair)
        yield from _repairs(ledger, repair)
