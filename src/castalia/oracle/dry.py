"""An oracle that sends nothing: it answers from the ledger, and notes every other question with its worst-case price."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

from castalia.errors import MissingRecording
from castalia.oracle.client import OracleClient
from castalia.oracle.exchange import Call
from castalia.oracle.ledger import Ledger
from castalia.oracle.ledger.rows import Done
from castalia.oracle.prices import to_usd
from castalia.oracle.providers.base import LocalProvider
from castalia.oracle.roles import RoleConfig


class Question(NamedTuple):
    """One call that would be made."""

    key: str
    stage: str
    role: str
    provider: str
    model: str
    prompt: str
    subject: str
    sample: int
    system: str
    messages: list[list[str]]
    """[role, content] of each."""
    answer_schema: str | None
    worst_usd: float | None
    """None where the price is unknown."""


class DryOracle(OracleClient):
    """An OracleClient for looking ahead. Use as `async with DryOracle(roles, ledger) as oracle`."""

    def __init__(self, roles: Mapping[str, RoleConfig], ledger: Path):
        super().__init__(roles, ledger, budget_usd=None, concurrency=1, offline=True)
        self._asked: dict[str, Question] = {}
        self._known: set[str] = set()

    async def __aenter__(self) -> Self:
        """Opens the ledger for reading where there is one."""
        self._ledger = Ledger(self._path, readonly=True) if self._path.is_file() else None
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes the ledger."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    @property
    def questions(self) -> list[Question]:
        """What would be sent, in the order it was asked."""
        return list(self._asked.values())

    @property
    def answered(self) -> int:
        """Questions that the ledger, or a recording, answers."""
        return len(self._known)

    async def _answer(self, role: str, call: Call) -> Done:
        intent, config = call.intent, call.provider.config
        done = self._ledger.lookup(intent.key) if self._ledger is not None else None
        if done is not None:
            self._known.add(intent.key)
            return done
        if isinstance(call.provider, LocalProvider) and (found := call.provider.answer(call.ask)) is not None:
            self._known.add(intent.key)
            return Done(intent.key, found.raw)
        self._asked[intent.key] = Question(
            intent.key, intent.stage, role, intent.provider, intent.model, intent.prompt, intent.subject, intent.sample, call.ask.system,
            [list(message) for message in call.ask.messages], call.ask.schema.text if call.ask.schema else None,
            None if config.price() is None else to_usd(intent.worst),
        )  # fmt: skip
        raise MissingRecording(f"dry run: prompt {intent.prompt!r} for {intent.subject!r} would be sent")
