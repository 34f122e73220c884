"""Answers become candidates: one per asked level and the target's own, spans that exist, executed where they can be."""

from collections.abc import Sequence

from castalia.engine.context import Context
from castalia.engine.target import is_readable
from castalia.oracle import TextReply
from castalia.records import Candidate, Check, SFTExample
from castalia.records.flaw import Flaw
from castalia.scoring.proof import drawn_tests, proof_flaw
from castalia.stages.build_preferences.answers import PlannedLevel, WrittenCandidate

Flawed = list[tuple[str, Flaw]]
"""What is no candidate: its name below the prompt's subject, and why."""


def accept_written(written: Sequence[WrittenCandidate], levels: Sequence[PlannedLevel], model: str) -> tuple[list[Candidate], Flawed]:
    """The usable candidates that `model` wrote, and for the others their level and flaw."""
    accepted: list[Candidate] = []
    flawed: Flawed = []
    for one in written:
        if flaw := _flaw(one, accepted, levels):
            flawed.append((one.level, flaw))
        else:
            modes = one.failure_modes
            accepted.append(
                Candidate(level=one.level, text=one.text, model=model, failure_modes=modes, planned_modes=modes, spans=one.spans)
            )
    return accepted, flawed


def accept_own(replies: Sequence[TextReply], others: Sequence[Candidate]) -> tuple[list[Candidate], Flawed]:
    """The target's own answers as candidates without planned failures; empty, broken and repeated ones by `target/NUMBER`, with a flaw."""
    accepted: list[Candidate] = []
    flawed: Flawed = []
    for number, reply in enumerate(replies, 1):
        if not is_readable(reply.text):
            flawed.append((f"target/{number}", Flaw("target-answer-unreadable", reply.text[:200])))
        elif _stands(reply.text, [*others, *accepted]):
            flawed.append((f"target/{number}", Flaw("empty-or-duplicate-text", reply.text[:200])))
        else:
            accepted.append(Candidate(level="target", text=reply.text, model=reply.model))
    return accepted, flawed


async def execute(candidates: Sequence[Candidate], check: Check, example: SFTExample, ctx: Context) -> list[Candidate]:
    """The candidates with `executed` filled: by the tests of the check, and by hidden ones for which the example's answer gives the
    values, so that tests learned by heart win nothing. Raises SandboxUnavailable where there is no sandbox: nothing is ranked unexecuted."""
    sandbox = ctx.services.get("sandbox")
    gold = example.conversation.messages[-1].content
    hidden = await drawn_tests(check, gold, sandbox=sandbox, seed=f"{ctx.stage}/{example.id}")
    flaws = [await proof_flaw(check, candidate.text, sandbox=sandbox, hidden=hidden) for candidate in candidates]
    return [candidate.model_copy(update={"executed": flaw is None}) for candidate, flaw in zip(candidates, flaws, strict=True)]


def _flaw(candidate: WrittenCandidate, accepted: Sequence[Candidate], levels: Sequence[PlannedLevel]) -> Flaw | None:
    if candidate.level not in levels:
        return Flaw("level-not-asked", candidate.level)
    if any(other.level == candidate.level for other in accepted):
        return Flaw("duplicate-level", candidate.level)
    if not candidate.text.strip() or _stands(candidate.text, accepted):
        return Flaw("empty-or-duplicate-text", candidate.text[:200])
    if candidate.level == "strong" and candidate.failure_modes:
        return Flaw("strong-with-failures", ", ".join(candidate.failure_modes))
    return _span_flaw(candidate)


def _span_flaw(candidate: WrittenCandidate) -> Flaw | None:
    """Spans stand in the text and show a declared failure; and where any failure has one, all have."""
    for span in candidate.spans:
        if not span.text or span.text not in candidate.text:
            return Flaw("span-not-in-text", span.text[:200])
    shown = {span.mode for span in candidate.spans}
    if undeclared := sorted(shown - set(candidate.failure_modes)):
        return Flaw("span-of-undeclared-mode", ", ".join(undeclared))
    if shown and (bare := [mode for mode in candidate.failure_modes if mode not in shown]):
        return Flaw("mode-without-span", ", ".join(bare))
    return None


def _stands(text: str, among: Sequence[Candidate]) -> bool:
    return any(other.text.strip() == text.strip() for other in among)
