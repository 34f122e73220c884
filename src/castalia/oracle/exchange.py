"""One exchange with a provider: send, commit the bytes, read them, and decide what a failure means.

Not answered and not billed: rejected. Never left this machine: unsent. Anything else may have been billed: unknown, and its worst case
stays reserved.
"""

import random
import time
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from castalia.errors import OracleError, OracleRefused
from castalia.oracle.calls import Ask
from castalia.oracle.failpoints import failpoint
from castalia.oracle.ledger.ledger import Ledger
from castalia.oracle.ledger.reading import reading_of
from castalia.oracle.ledger.rows import Done, Intent, Outcome, Reading, Sent
from castalia.oracle.limits import Flight, Limiter
from castalia.oracle.providers.base import HttpProvider, Provider, UnreadableAnswer
from castalia.oracle.quotas import retry_after, told_quotas
from castalia.oracle.redact import Redactor
from castalia.oracle.rejected import failure_of, rejection
from castalia.oracle.transport import HttpReply, Lost, Transport, Unsent

OVERLOADED = frozenset({429, 503, 529})
MAYBE_BILLED = frozenset({408, 502, 504})
"""A gateway gave up on a server that may have finished the work."""
FOREVER = frozenset({401, 403, 404})
"""Wrong for every call to this model, so none follows."""
MOST_ERRORS = 6
MOST_OVERLOADS = 60
MOST_UNCONNECTED = 4
BACKOFF_SECONDS = 0.5
BACKOFF_CAP = 30.0


@dataclass(frozen=True)
class Call:
    """A call ready to be made."""

    intent: Intent
    ask: Ask
    provider: Provider
    wire: bytes
    """The request's body as it is sent."""
    is_native: bool
    """Whether it asks for the schema by the provider's own mode."""


class NoSchemaMode(Exception):
    """The server has no mode for the schema: the call is to be asked again by prompt."""


class Again(NamedTuple):
    """Try again after so many seconds."""

    seconds: float


@dataclass
class Failures:
    """How often a call failed, by kind."""

    errors: int = 0
    overloads: int = 0
    unconnected: int = 0


@dataclass
class Tally:
    """What this session did so far."""

    calls: int = 0
    cached: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    nano: int = 0
    recent: deque[float] = field(default_factory=lambda: deque[float](maxlen=4096))

    def count(self, reading: Reading) -> None:
        """One more answer."""
        self.calls += 1
        self.tokens_in += reading.tokens_in
        self.tokens_out += reading.tokens_out
        self.nano += reading.cost
        self.recent.append(time.monotonic())


class Exchange:
    """Exchanges of one client."""

    def __init__(self, ledger: Ledger, tally: Tally, redactor: Redactor, keys: dict[str, str | None]):
        self._ledger = ledger
        self._tally = tally
        self._redactor = redactor
        self._keys = keys
        self.transport = Transport()

    async def close(self) -> None:
        """Closes the connections."""
        await self.transport.close()

    async def run(
        self, call: Call, provider: HttpProvider, key: str | None, sent: Sent, flight: Flight, failures: Failures
    ) -> tuple[Done | Again, float]:
        """Sends and settles one attempt. Returns what to do next, and the tokens it used."""
        intent, limiter = call.intent, flight.limiter
        try:
            reply = await self.transport.post(provider, call.wire, key)
        except Unsent as error:
            failures.unconnected += 1
            last = failures.unconnected >= MOST_UNCONNECTED
            return await self._missed(call, sent, "unsent", None, str(error), failures.unconnected, last=last), 0.0
        except Lost as error:
            failures.errors += 1
            return await self._missed(call, sent, "unknown", None, str(error), failures.errors, last=failures.errors >= MOST_ERRORS), 0.0
        limiter.learn(told_quotas(reply.headers))
        if 200 <= reply.status < 300:
            raw = self._redactor.raw(reply.raw)
            request_id = _request_id(reply)
            committed = self._ledger.receive(sent, raw, reply.status, request_id)
            limiter.accepted()
            # The provider is done with it, so the next call may start. Its intent is queued behind these bytes and can't be committed before
            # them: never are more calls in doubt than may fly.
            flight.land()
            await committed
            failpoint("after-commit")
            try:
                answer = provider.read(raw)
            except UnreadableAnswer as error:
                failures.errors += 1
                return await self._missed(
                    call, sent, "unknown", reply, str(error), failures.errors, last=failures.errors >= MOST_ERRORS
                ), 0.0
            reading = reading_of(answer, intent.request, intent.price, intent.worst)
            self._ledger.finish(intent, sent, raw, reply.status, request_id, reading)
            self._tally.count(reading)
            return Done(intent.key, raw, answer), reading.tokens_in + reading.tokens_out
        words = f"HTTP {reply.status}: {reply.raw[:500].decode('utf-8', 'replace')}"
        if reply.status in OVERLOADED:
            failures.overloads += 1
            wait = retry_after(reply.headers)
            limiter.overloaded(flight.started, wait)
            last = failures.overloads >= MOST_OVERLOADS
            again = await self._missed(call, sent, "rejected", reply, words, failures.overloads, last=last)
            return (again if wait is None else Again(wait + random.uniform(0, 0.1))), 0.0
        if reply.status in (408, 409) or reply.status >= 500:
            failures.errors += 1
            outcome: Outcome = "unknown" if reply.status in MAYBE_BILLED else "rejected"
            return await self._missed(call, sent, outcome, reply, words, failures.errors, last=failures.errors >= MOST_ERRORS), 0.0
        raise await self._refused(call, provider, sent, reply, words, limiter)

    async def _missed(
        self, call: Call, sent: Sent, outcome: Outcome, reply: HttpReply | None, detail: str, number: int, *, last: bool
    ) -> Again:
        detail = self._redactor.error(detail)
        await self._ledger.miss(
            sent,
            outcome,
            status=reply.status if reply else None,
            request_id=_request_id(reply),
            detail=detail,
            failed=last,
        )
        if last:
            place = f"{call.intent.provider} at {call.intent.base_url}"
            raise OracleError(
                f"{place} did not answer prompt {call.intent.prompt!r} for {call.intent.subject!r} after {number} tries; last: {detail}. "
                f"Check the server or wait, then run the same command again: nothing that was paid is asked twice"
            )
        # Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        return Again(random.uniform(0, min(BACKOFF_CAP, BACKOFF_SECONDS * 2**number)))

    async def _refused(
        self, call: Call, provider: HttpProvider, sent: Sent, reply: HttpReply, words: str, limiter: Limiter
    ) -> OracleError | NoSchemaMode:
        """What a client error means: for this call, for its form, or for every call to the model, none of which starts any more."""
        words = self._redactor.error(words)
        refusal = provider.refusal(reply.status, reply.raw, call.ask)
        detail = failure_of(refusal.words, words) if refusal is not None and refusal.kind == "this request" else words
        await self._ledger.miss(sent, "rejected", status=reply.status, request_id=_request_id(reply), detail=detail, failed=True)
        if rejected := rejection(call.intent, detail):
            return rejected
        if refusal is not None and refusal.kind == "schema mode" and call.is_native:
            provider.asks_by_prompt = True
            await self._ledger.forgo_schema_mode(call.intent.provider, call.intent.base_url, call.intent.model, words)
            return NoSchemaMode(refusal.words)
        variable = call.provider.config.key_variable()
        cure = {
            401: f"check the key in environment variable {variable}"
            if variable
            else "the server wants a key: name its variable in `api_key_env`",
            403: f"the key in {variable} may not use model {call.intent.model!r}",
            404: f"check `model: {call.intent.model}` and `base_url`",
            400: "check `model`, `max_tokens`, `temperature`, `effort`; for models without a JSON-schema mode set `native_schema: false`",
        }.get(reply.status, "this request can't succeed as it is")
        error = OracleRefused(f"{call.intent.provider} at {call.intent.base_url} refused the call for good: {words}. Next: {cure}")
        if reply.status in FOREVER or (reply.status == 400 and not limiter.is_proved):
            limiter.refuse(error)
        return error

    def key(self, provider: Provider) -> str | None:
        """The API key, once the way to the provider is known to be open. Raises ConfigError or OracleRefused."""
        if isinstance(provider, HttpProvider):
            # A bundle of certificates that can't be used is an error now, not after the intent.
            self.transport.session(direct=provider.is_loopback)
        variable = provider.config.key_variable()
        if variable is None:
            return None
        key = self._keys.get(variable)
        if not key:
            raise OracleRefused(
                f"provider {provider.config.provider!r} needs an API key in environment variable {variable!r}, which is not "
                f"set. Set it, or point the role at a local server (`provider: openai`, `base_url: http://localhost:8000/v1`), "
                f"or use `provider: batch_file`"
            )
        return key


def _request_id(reply: HttpReply | None) -> str:
    if reply is None:
        return ""
    return (reply.headers.get("x-request-id") or reply.headers.get("request-id") or "")[:200]
