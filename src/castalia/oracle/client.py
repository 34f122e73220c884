"""What stages hold: ask for a typed answer, chat freely, see what it costs."""

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

import msgspec
from pydantic import BaseModel

from castalia.errors import AnswerUnusable, ConfigError, MissingRecording, UnknownPrice
from castalia.oracle.answers import Problem, repair_request, validate, wire_schema
from castalia.oracle.calls import Ask, ChatMessage, MissingCall, ModelAnswer, Reply, Task, TextReply
from castalia.oracle.collector import collect_seldom
from castalia.oracle.compact import compact_json
from castalia.oracle.dispatch import Dispatch, read_committed
from castalia.oracle.exchange import Call, NoSchemaMode
from castalia.oracle.ledger import Ledger
from castalia.oracle.ledger.reading import most_tokens
from castalia.oracle.ledger.rows import Done, Intent
from castalia.oracle.ledger.submissions import Submission
from castalia.oracle.pending import write_pending
from castalia.oracle.prices import FREE, to_nano, to_usd
from castalia.oracle.providers import open_provider
from castalia.oracle.providers.base import HttpProvider, LocalProvider, Provider
from castalia.oracle.redact import Redactor
from castalia.oracle.roles import RoleConfig, role_config
from castalia.records import canonical_json

if TYPE_CHECKING:
    from castalia.oracle.providers.batch_file import Imported

T = TypeVar("T", bound=BaseModel)

MOST_REPAIRS = 2
RATE_SECONDS = 10.0


class Stats(NamedTuple):
    """What a progress line shows."""

    calls: int
    """Answered in this session, without those from the ledger."""
    cached: int
    calls_per_second: float
    """Over the last ten seconds."""
    tokens_in: int
    tokens_out: int
    usd: float
    """Paid in this session."""
    usd_left: float | None
    """Until the budget, less what is reserved; None without a budget."""
    in_flight: int
    waiting: int
    limit: str
    """What holds calls back right now, e.g. `requests per minute`, or empty."""


@dataclass(frozen=True)
class Part:
    """What all calls of a role have in common."""

    role: str
    provider: Provider
    sampling: str
    base_url: str

    @property
    def config(self) -> RoleConfig:
        """Who answers for the role."""
        return self.provider.config


class OracleClient:
    """The only door to a model. Use as `async with open_oracle(...) as client`."""

    def __init__(self, roles: Mapping[str, RoleConfig], ledger: Path, *, budget_usd: float | None, concurrency: int, offline: bool):
        if concurrency < 1:
            raise ConfigError(f"concurrency {concurrency} must be at least 1")
        if budget_usd is not None and not 0 <= budget_usd < 1e9:
            raise ConfigError(f"budget_usd {budget_usd} must be at least 0 and finite; leave it out for no budget")
        self._roles = dict(roles)
        self._path = ledger
        self._budget = None if budget_usd is None else to_nano(budget_usd)
        self._concurrency = concurrency
        self._offline = offline
        self._providers: dict[RoleConfig, Provider] = {}
        self._parts: dict[str, Part] = {}
        self._ledger: Ledger | None = None
        self._dispatch: Dispatch | None = None
        self._redactor = Redactor(())
        self._missing: dict[tuple[str, str, int], MissingCall] = {}
        self._held = ExitStack()
        self.batch_notes: list[str] = []
        """Batches that were submitted, found again, are under way or came back; complete once the client is closed."""

    async def __aenter__(self) -> Self:
        """Opens providers and ledger; calls of crashed processes become in doubt. Raises before anything is spent."""
        for role, config in self._roles.items():
            provider = self._provider(config)
            if self._budget is not None and not self._offline and isinstance(provider, HttpProvider) and config.price() is None:
                raise self._unknown_price(role, config)
        variables = {variable for config in self._roles.values() if (variable := config.key_variable())}
        keys = {variable: os.environ.get(variable) for variable in variables}
        self._redactor = Redactor(value for value in keys.values() if value)
        ledger = Ledger(self._path)
        ledger.recover(read_committed)
        self._ledger = ledger
        for provider in self._providers.values():
            self._recall(provider)
        self._dispatch = Dispatch(
            ledger, budget=self._budget, concurrency=self._concurrency, offline=self._offline, redactor=self._redactor, keys=keys
        )
        self._held.enter_context(collect_seldom())
        return self

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Waits for what is in flight, then closes. Calls that wait for a batch are submitted, or written to their file.

        Nothing is submitted when another error, or a person, ended the run.
        """
        if self._dispatch is None or self._ledger is None:
            return
        try:
            try:
                if error is None or isinstance(error, MissingRecording):
                    await self._dispatch.desk.submit()
            finally:
                self.batch_notes += self._dispatch.desk.notes
                await self._dispatch.close()
            if any(config.provider == "batch_file" for config in self._roles.values()):
                from castalia.oracle.providers.batch_file import PENDING, export_pending

                if not export_pending(self._ledger, self._path.with_name(PENDING)):
                    self._path.with_name(PENDING).unlink(missing_ok=True)  # else somebody may answer it once more
        finally:
            self._held.close()
            self._ledger.close()
            self._dispatch = self._ledger = None

    @property
    def ledger(self) -> Ledger:
        """The open ledger."""
        if self._ledger is None:
            raise ConfigError("the oracle is not open; use `async with open_oracle(...) as client`")
        return self._ledger

    @property
    def missing(self) -> list[MissingCall]:
        """What recordings or batch results had no answer for, in the order it was asked."""
        return list(self._missing.values())

    def write_pending(self, path: Path) -> int:
        """Writes `missing` so that a person can answer it; returns how many lines."""
        return write_pending(self._missing.values(), path)

    async def ask(self, role: str, system: str, user: str, answer: type[T], *, task: Task, sample: int = 0) -> Reply[T]:
        """Asks for an answer of type `answer`.

        An unusable answer is kept and asked for again at most twice, each repair its own call with its reason. Raises AnswerUnusable after
        that, MissingRecording, BudgetReached, OracleRefused, or OracleError.
        """
        part = self._part(role)
        messages: tuple[ChatMessage, ...] = (ChatMessage("user", user),)
        answered: list[str] = []
        repair_of = reason = None
        while True:
            call = self._call(part, Ask(task, system, messages, wire_schema(answer), None, sample), repair_of, reason)
            try:
                done = await self._answer(role, call)
            except NoSchemaMode:
                continue  # asked again by prompt
            except AnswerUnusable as error:
                error.calls = tuple(dict.fromkeys((*answered, *error.calls)))  # others may wait for the same error
                raise
            answered.append(call.intent.key)
            said = done.said or part.provider.read(done.raw)
            value = validate(said.text, answer)
            if not isinstance(value, Problem):
                return Reply(value, call.intent.key, done.raw, said.model)
            problem = _explain(value, said, part.config)
            if said.stop == "refusal" or isinstance(part.provider, LocalProvider) or len(answered) > MOST_REPAIRS:
                raise self._unusable(call, problem, said, answered)
            repair_of, reason = call.intent.key, problem.reason
            messages = (*messages, ChatMessage("assistant", said.text or "(empty)"), ChatMessage("user", repair_request(problem)))

    async def chat(
        self, role: str, messages: Sequence[ChatMessage], *, task: Task, sample: int = 0, tools_json: str | None = None
    ) -> TextReply:
        """Free text. `tools_json` is a JSON list of `{"name", "description", "parameters"}`; another `sample` is another answer."""
        part = self._part(role)
        call = self._call(part, Ask(task, "", tuple(messages), None, tools_json, sample))
        done = await self._answer(role, call)
        said = done.said or part.provider.read(done.raw)
        return TextReply(said.text, call.intent.key, said.stop, said.tool_calls_json, said.model)

    async def look_at_batches(self) -> list[str]:
        """Takes in the results of batches under way, once; returns what became of them. `ledger.submissions(living=True)` has those that
        are still under way. Raises OracleRefused or OracleError when a provider can't be asked."""
        if self._dispatch is None:
            raise ConfigError("the oracle is not open; use `async with open_oracle(...) as client`")
        notes = self._dispatch.desk.notes
        before = len(notes)
        await self._dispatch.look_at_batches(list(self._providers.values()))
        found = notes[before:]
        del notes[before:]
        return found

    def has_account(self, batch: Submission) -> bool:
        """Whether a role asks where the batch was sent, with the key it was sent with."""
        return self._dispatch is not None and self._dispatch.has_account(list(self._providers.values()), batch)

    def import_results(self, path: Path) -> "Imported":
        """Files the results of a batch in the ledger; importing twice changes nothing. See `providers.batch_file`."""
        from castalia.oracle.providers.batch_file import import_results

        return import_results(self.ledger, path)

    def is_answered(self, role: str, system: str, user: str, answer: type[BaseModel], *, task: Task, sample: int = 0) -> bool:
        """Whether `ask` with these arguments would be answered by the ledger."""
        asked = Ask(task, system, (ChatMessage("user", user),), wire_schema(answer), None, sample)
        return self.ledger.lookup(self._call(self._part(role), asked).intent.key) is not None

    def worst_case(self, role: str, system: str, user: str, answer: type[BaseModel] | None = None) -> float | None:
        """The most one call can cost in USD, repairs not counted; None when the price is unknown."""
        part = self._part(role)
        asked = Ask(Task("", "", "", ""), system, (ChatMessage("user", user),), wire_schema(answer) if answer else None)
        return None if part.config.price() is None else to_usd(self._call(part, asked).intent.worst)

    def estimate(self, role: str, *, calls: int, tokens_in: int, tokens_out: int) -> float | None:
        """USD of so many calls with so many tokens each; None when the price is unknown."""
        price = role_config(self._roles, role).price()
        return None if price is None else to_usd(calls * price.cost(tokens_in, tokens_out))

    def is_writer(self, role: str) -> bool:
        """Whether the writer answers for `role`, which is not configured, or is exactly as the writer is."""
        return role_config(self._roles, role) == self._roles.get("writer")

    def stats(self) -> Stats:
        """Live numbers."""
        dispatch = self._dispatch
        if dispatch is None:
            raise ConfigError("the oracle is not open; use `async with open_oracle(...) as client`")
        tally, limiters = dispatch.tally, list(dispatch.limiters.values())
        now = time.monotonic()
        recent = sum(1 for moment in tally.recent if now - moment <= RATE_SECONDS)
        money = self.ledger.money(flush=False)
        limits = {limiter.reason for limiter in limiters if limiter.waiting and limiter.reason}
        if dispatch.short_of_money:
            limits.add("budget")
        return Stats(
            calls=tally.calls,
            cached=tally.cached,
            calls_per_second=recent / RATE_SECONDS,
            tokens_in=tally.tokens_in,
            tokens_out=tally.tokens_out,
            usd=to_usd(tally.nano),
            usd_left=None if self._budget is None else to_usd(self._budget) - sum(money),
            in_flight=sum(limiter.flying for limiter in limiters),
            waiting=sum(limiter.waiting for limiter in limiters),
            limit=", ".join(sorted(limits)),
        )

    @staticmethod
    def _unknown_price(role: str, config: RoleConfig, most_in: int = 0) -> UnknownPrice:
        return UnknownPrice(
            f"role {role!r} has a budget but model {config.model!r} has no known price"
            + (f" for a prompt of up to {most_in:,} tokens" if most_in and config.price() else "")
            + (f" at {config.base_url!r}" if config.base_url else "")
            + "; give `prices: {input: ..., output: ...}` in USD per million tokens (0 for your own server), or drop the budget"
        )

    def _provider(self, config: RoleConfig) -> Provider:
        if config not in self._providers:
            self._providers[config] = open_provider(config)
            self._recall(self._providers[config])
        return self._providers[config]

    def _recall(self, provider: Provider) -> None:
        """What an earlier run found out about the provider's server, which decides how, and under which key, it is asked."""
        if isinstance(provider, HttpProvider) and self._ledger is not None:
            config = provider.config
            provider.asks_by_prompt = self._ledger.lacks_schema_mode(config.provider, provider.base_url, config.model)

    def _part(self, role: str) -> Part:
        if role not in self._parts:
            provider = self._provider(role_config(self._roles, role))
            self._parts[role] = Part(
                role,
                provider,
                canonical_json(provider.config.sampling()),
                provider.base_url if isinstance(provider, HttpProvider) else "",
            )
        return self._parts[role]

    async def _answer(self, role: str, call: Call) -> Done:
        if self._dispatch is None:
            raise ConfigError("the oracle is not open; use `async with open_oracle(...) as client`")
        try:
            return await self._dispatch.answer(call)
        except MissingRecording:
            task, ask = call.ask.task, call.ask
            self._missing[(task.prompt, task.subject, ask.sample)] = MissingCall(
                task, role, ask.sample, ask.system, ask.messages, ask.schema.text if ask.schema else ""
            )
            raise

    def _call(self, part: Part, ask: Ask, repair_of: str | None = None, reason: str | None = None) -> Call:
        provider, config, task = part.provider, part.provider.config, ask.task
        identity = provider.identity(ask)
        wire = b""
        if isinstance(provider, HttpProvider):
            # The body is written once: what is hashed holds what is sent.
            body = identity["body"]
            spelled = compact_json(body)
            identity = {**identity, "body": msgspec.Raw(spelled)}
            sent = provider.wire(body)
            wire = spelled if sent is body else compact_json(sent)
        named = compact_json(identity)
        request = named.decode()
        kept = self._redactor.text(request)
        most_in = most_tokens(request)
        price = config.price(most_in)
        if price is None and self._budget is not None and not self._offline and isinstance(provider, HttpProvider):
            raise self._unknown_price(part.role, config, most_in)
        known = price or FREE
        intent = Intent(
            key=hashlib.sha256(named).hexdigest(),
            request=kept,
            redacted=kept != request,
            stage=task.stage,
            role=part.role,
            prompt=task.prompt,
            subject=task.subject,
            prompt_sha256=task.prompt_sha256,
            sample=ask.sample,
            provider=config.provider,
            base_url=part.base_url,
            model=config.model or config.provider,
            sampling=part.sampling,
            system_sha256=_sha256(_system_text(ask)),
            price_in=known.input,
            price_out=known.output,
            price_cached=known.cached,
            price_written=known.written,
            worst=known.worst(most_in, config.max_tokens),
            repair_of=repair_of,
            repair_reason=self._redactor.text(reason) if reason else None,
            note="" if price else "price unknown, counted as 0",
        )
        is_native = isinstance(provider, HttpProvider) and provider.native_schema(ask) is not None
        return Call(intent, ask, provider, wire, is_native)

    def _unusable(self, call: Call, problem: Problem, said: ModelAnswer, answered: Sequence[str]) -> AnswerUnusable:
        intent, repairs = call.intent, len(answered) - 1
        note = self.ledger.call(intent.key).note
        where = f" ({note})" if note else ""
        tried = f" after {repairs} repairs" if repairs else ""
        error = AnswerUnusable(
            f"the answer to prompt {intent.prompt!r} for {intent.subject!r}{where} can't be used{tried}: {problem.reason}. It begins "
            f"{said.text[:120]!r}; the whole of it is call {intent.key[:16]} (`castalia trace {intent.key[:16]}`)"
        )
        error.calls = tuple(answered)
        return error


def _explain(problem: Problem, said: ModelAnswer, config: RoleConfig) -> Problem:
    if said.stop == "refusal":
        return Problem("the model refused")
    if said.stop == "length":
        return Problem(f"it was cut off at {config.max_tokens} tokens; answer more briefly, or raise max_tokens")
    return problem


@lru_cache(maxsize=256)
def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _system_text(ask: Ask) -> str:
    return ask.system or "\n\n".join(message.content for message in ask.messages if message.role == "system")


def open_oracle(
    roles: Mapping[str, RoleConfig], ledger: Path, *, budget_usd: float | None, concurrency: int = 64, offline: bool = False
) -> OracleClient:
    """The client for these roles.

    `budget_usd` bounds everything this ledger ever paid, calls in doubt included at their worst case. `concurrency` is calls in flight per
    model. `offline` answers from ledger and recordings only.
    """
    return OracleClient(roles, ledger, budget_usd=budget_usd, concurrency=concurrency, offline=offline)
