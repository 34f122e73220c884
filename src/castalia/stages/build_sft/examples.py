"""One written example becomes an SFT example, once its citations hold and its answer passed its check."""

from castalia.engine.context import Context
from castalia.records import Message, SFTExample
from castalia.records.flaw import Flaw
from castalia.scoring.proof import proof_flaw, text_flaw, trusted_check
from castalia.stages.build_sft.answers import WrittenExample
from castalia.stages.build_sft.passage import Grounds, Passage, grounds, provenance, taught


async def build_example(passage: Passage, number: int, written: WrittenExample, call: str, ctx: Context) -> SFTExample | Flaw:
    """The example, or why it can't be used. Executable answers are executed here, by tests that were examined; what fails is not written."""
    found = grounds(passage, written.atoms, written.blocks)
    flaw = found if isinstance(found, Flaw) else _shape_flaw(written, found)
    if isinstance(found, Flaw) or flaw:
        return flaw or Flaw("no-evidence", "")
    check = found.check if written.use_check else written.check
    question, last = (written.turns[-1].user, written.turns[-1].answer) if written.turns else (written.user, written.answer)
    proved = False
    if written.use_check and check:
        trusted = await trusted_check(check, (*found.solutions, last), sandbox=ctx.services.get("sandbox"), once=ctx.once)
        if isinstance(trusted, Flaw):
            return trusted
        check, proved = trusted.check, trusted.proves(last)
    if check and not proved and (failed := await proof_flaw(check, last, sandbox=ctx.services.get("sandbox"))):
        return failed
    if check and (free := text_flaw(check, question)):
        return Flaw("check-proves-nothing", free)
    main = found.atoms[0]
    return SFTExample(
        subject=f"{passage.section.subject}/sft/{number}", section=passage.section.subject, kind=written.kind, category=main.category,
        node=main.node, domain=main.domain, difficulty=written.difficulty, style=main.style,
        conversation=taught(_messages(written)), evidence=(found.evidence,), atoms=tuple(atom.id for atom in found.atoms), check=check,
        provenance=provenance(passage, found.atoms, (call,)),
    )  # fmt: skip


def _shape_flaw(written: WrittenExample, found: Grounds) -> Flaw | None:
    turns = (written.user, written.answer, *(text for turn in written.turns for text in (turn.user, turn.answer)))
    if not all(text.strip() for text in turns):
        return Flaw("empty-turn", "every question and answer needs text")
    if bool(written.turns) != (written.kind == "dialogue"):
        return Flaw("turns-do-not-fit-kind", f"kind {written.kind!r} with {len(written.turns)} further turns")
    if written.use_check and (written.check or not found.check):
        return Flaw(
            "no-check-to-use", "no cited atom has an execution check" if not written.check else "use_check and check exclude each other"
        )
    if written.check and written.check.kind in ("execution", "state"):
        return Flaw("check-not-textual", f"{written.check.kind!r} checks come from atoms or belong to trace tasks")
    return None


def _messages(written: WrittenExample) -> tuple[Message, ...]:
    turns = ((written.user, written.analysis, written.answer), *((turn.user, turn.analysis, turn.answer) for turn in written.turns))
    messages: list[Message] = []
    for user, analysis, answer in turns:
        messages.append(Message(role="user", content=user))
        if analysis:
            messages.append(Message(role="assistant", channel="analysis", content=analysis))
        messages.append(Message(role="assistant", channel="final", content=answer))
    return tuple(messages)
