"""Taking in the results of a batch, in whatever order and state they come.

An answer is preferred to an error for the same call, and the first answer to a second. What is filed stays, so that a download that breaks
off, or a process that dies, is simply repeated.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from castalia.errors import OracleError
from castalia.oracle.batch_wire import MOST_TRIES, Account, BatchWire, pause
from castalia.oracle.calls import Ask, Task
from castalia.oracle.failpoints import failpoint
from castalia.oracle.ledger import submissions as ledger_submissions
from castalia.oracle.ledger.ledger import Ledger
from castalia.oracle.ledger.reading import reading_of
from castalia.oracle.ledger.submissions import Result, Submission
from castalia.oracle.providers.base import UnreadableAnswer
from castalia.oracle.redact import Redactor
from castalia.oracle.rejected import failure_of
from castalia.oracle.transport import Lost, Unsent

FILED_AT_ONCE = 500
_ANY = Ask(Task("", "", "", ""), "", (), None)
"""A request of which nothing is known: what refuses it is its length or a filter, never its schema."""


@dataclass
class Counts:
    """What became of the calls of a batch."""

    answered: int = 0
    refused: int = 0
    open: int = 0
    filed: int = 0
    """Results of its own calls, new or old."""
    foreign: int = 0
    """Results for calls that aren't of this batch."""
    unreadable: int = 0
    """Lines and answers that can't be read: they may have been billed."""
    twice: int = 0
    """Further results of calls that have one."""


@dataclass
class Intake:
    """The results of one batch on their way into the ledger."""

    ledger: Ledger
    submission: Submission
    counts: Counts = field(default_factory=Counts)
    waiting: list[Result] = field(default_factory=list[Result])
    answered: set[str] = field(default_factory=set[str])
    unanswered: dict[str, Result] = field(default_factory=dict[str, Result])
    """Filed last: an answer to the same call may still come."""

    async def add(self, result: Result | None) -> None:
        """One line; None for one that can't be read."""
        if result is None:
            self.counts.unreadable += 1
        elif result.raw is None:
            self.unanswered.setdefault(result.key, result)
        elif result.key in self.answered:
            self.counts.twice += 1
        else:
            self.answered.add(result.key)
            self.counts.unreadable += result.reading is None
            self.waiting.append(result)
            if len(self.waiting) >= FILED_AT_ONCE:
                await self._file()

    async def end(self) -> Counts:
        """Files the rest."""
        for key, result in self.unanswered.items():
            if key in self.answered:
                self.counts.twice += 1
                continue
            self.counts.refused += result.is_final
            self.counts.open += not result.is_final
            self.waiting.append(result)
        await self._file()
        return self.counts

    async def _file(self) -> None:
        batch, self.waiting = self.waiting, []
        submission = self.submission
        answered, foreign = await self.ledger.run(lambda db, books: ledger_submissions.file_results(db, books, submission, batch))
        self.counts.answered += answered
        self.counts.foreign += foreign
        self.counts.filed += len(batch) - foreign
        failpoint("batch-results")


async def take_in(
    wire: BatchWire, ledger: Ledger, redactor: Redactor, account: Account, submission: Submission, paths: Iterable[str]
) -> Counts:
    """Files the results that lie at `paths`. Raises Gone where the vendor has deleted them, OracleError when they don't arrive whole."""
    intake = Intake(ledger, submission)

    def read(line: bytes) -> Result | None:
        failpoint("batch-line")
        return _result(ledger, redactor, account, line)

    for path in paths:
        await _whole(wire, account, path, read, intake)
    return await intake.end()


async def _whole(wire: BatchWire, account: Account, path: str, read: Callable[[bytes], Result | None], intake: Intake) -> None:
    """Reads a file to its end, from its beginning again when the connection breaks. Lines that were seen are not counted again."""
    seen = 0
    for attempt in range(MOST_TRIES):
        number = 0
        try:
            async for line in wire.lines(account, path):
                number += 1
                if number > seen:
                    await intake.add(read(line))
                    seen = number
        except (Lost, Unsent) as error:
            if attempt == MOST_TRIES - 1:
                raise OracleError(
                    f"the results at {account.provider.base_url}{path} did not arrive whole after {MOST_TRIES} tries: {error}. What came "
                    f"is in the ledger; run again"
                ) from error
            await pause(attempt)
        else:
            return


def _result(ledger: Ledger, redactor: Redactor, account: Account, line: bytes) -> Result | None:
    """What becomes of a call; None for a line that doesn't tell whose it is. An answer that can't be read may have been billed."""
    try:
        fate = account.api.fate(line)
    except UnreadableAnswer:
        return None
    if fate.kind != "answered":
        detail, is_final = redactor.error(fate.detail), fate.kind == "refused"
        refusal = account.provider.refusal(400, line, _ANY) if is_final else None
        return Result(fate.key, None, None, "rejected", failure_of(refusal.words, detail) if refusal else detail, is_final)
    raw = redactor.raw(line)
    known = ledger.priced(fate.key)
    try:
        answer = account.provider.read(raw)
    except UnreadableAnswer as error:
        return Result(fate.key, raw, None, "unknown", str(error), is_final=False)
    if known is None:
        return Result(fate.key, raw, None, "unknown", "not in this ledger", is_final=False)
    request, price, worst = known
    return Result(fate.key, raw, reading_of(answer, request, price, worst), "answered", "", is_final=False)
