"""Requests that a provider can't take, told in the ledger from calls that failed: who asks offline finds them rejected as they were.

What is raised says only what kind of rejection it is, never the provider's words, which differ from one try to the next.
"""

from castalia.errors import RequestRejected
from castalia.oracle.ledger.rows import Intent

_BEGINS, _SAID = "rejected: ", ". It said: "


def failure_of(kind: str, said: str) -> str:
    """How the ledger puts it. `kind` says in words why this request can't be taken, `said` is what the provider answered."""
    return f"{_BEGINS}{kind}{_SAID}{said}"


def rejection(intent: Intent, failure: str) -> RequestRejected | None:
    """The error of a call that failed so; None where it failed otherwise."""
    if not failure.startswith(_BEGINS):
        return None
    kind = failure.removeprefix(_BEGINS).partition(_SAID)[0]
    error = RequestRejected(
        f"{intent.provider} at {intent.base_url} can't answer prompt {intent.prompt!r} for {intent.subject!r}: {kind}. What it said: "
        f"`castalia trace {intent.key[:16]}`"
    )
    error.calls = (intent.key,)
    return error
