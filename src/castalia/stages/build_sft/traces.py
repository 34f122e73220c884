"""A trace task is carried out with real tools and becomes an agent trace, if it ends and what it left behind is right."""

from collections.abc import Sequence
from typing import cast

from castalia.engine.context import Context
from castalia.engine.trace import open_room, run_trace
from castalia.records import Document, Message, SFTExample
from castalia.records.flaw import Flaw
from castalia.records.sections import blocks_of, show_blocks
from castalia.scoring.proof import proof_flaw, text_flaw
from castalia.stages.build_sft.answers import TraceTask
from castalia.stages.build_sft.passage import Passage, grounds, provenance, taught
from castalia.stages.build_sft.room import SEARCH, Library, ReadingRoom, tools_named


async def build_trace(
    passage: Passage, task: TraceTask, calls: list[str], ctx: Context, *, max_turns: int, packages: Sequence[str]
) -> SFTExample | Flaw:
    """The trace, or why there is none. Turn k is asked about as `SECTION/trace/NUMBER/turn/K`; its calls are added to `calls`, which
    has that of the task."""
    found = grounds(passage, task.atoms, task.blocks)
    if isinstance(found, Flaw):
        return found
    if task.check and task.check.kind == "execution":
        return Flaw("check-not-for-traces", "a trace is checked by its files (state) or by the text of its final answer")
    if task.check and (free := text_flaw(task.check, task.task)):
        return Flaw("check-proves-nothing", free)
    subject = f"{passage.section.subject}/trace/{task.number}"
    tools = tools_named(task.tools)
    if isinstance(tools, Flaw):
        return tools
    room = open_room(ctx, packages)
    if SEARCH in tools:
        documents = cast(Sequence[Document], ctx.side["documents"])
        room = ReadingRoom(room, ctx.once("library", lambda: Library(documents)))
    reference = show_blocks(blocks_of(passage.document, passage.section))
    trace = await run_trace(
        ctx, subject, task.task, calls, tools=tools, room=room, packages=packages, reference=reference, max_turns=max_turns
    )
    if isinstance(trace, Flaw):
        return trace
    if task.check:
        failed = await proof_flaw(task.check, trace.final, sandbox=ctx.services.get("sandbox"), files=room.files())
        if failed:
            return failed
    main = found.atoms[0]
    return SFTExample(
        subject=subject, section=passage.section.subject, kind="agent-trace", category=main.category, node=main.node,
        domain=main.domain, difficulty=task.difficulty, style=main.style, evidence=(found.evidence,),
        atoms=tuple(atom.id for atom in found.atoms), check=task.check,
        conversation=taught((Message(role="user", content=task.task), *trace.messages), tools),
        provenance=provenance(passage, found.atoms, calls),
    )  # fmt: skip
