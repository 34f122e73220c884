"""The agent loop: an oracle asks for tools, the sandbox runs them, and what came out is what the trace says.

Nothing in a trace is imagined: a tool message holds the text the tool really gave, failures included.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Protocol

from pydantic import BeforeValidator, Field
from pydantic_core import from_json

from castalia.engine.context import Context
from castalia.engine.fence import Fenced, fence
from castalia.errors import AnswerUnusable, SandboxUnavailable
from castalia.records import Frozen, Message, Tool, canonical_json
from castalia.records.flaw import Flaw

TRACE_PROMPT = Path(__file__).with_name("trace_turn.md")


def _object_text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return canonical_json(value)
    # from_json refuses what is nested too deeply for any reader, which json raises no ValueError for
    if isinstance(value, str) and not isinstance(from_json(value), dict):
        raise ValueError(f"arguments {value[:60]!r} are not a JSON object; give an object with the tool's parameters")  # noqa: TRY004 - pydantic takes ValueError
    return value


ArgumentsText = Annotated[str, BeforeValidator(_object_text)]
"""A JSON object as text; an object given as such is spelled canonically."""


class TraceTurn(Frozen):
    """One turn: a tool call, or the end."""

    analysis: str = Field(default="", description="What the last output shows and what to do next, one to three sentences.")
    tool: str | None = Field(default=None, description="Name of the tool to call; null at the end.")
    arguments: ArgumentsText | None = Field(default=None, description="Arguments of the call, a JSON object as text; null at the end.")
    final: str | None = Field(default=None, description="The answer to the user; null while calling tools.")


class ToolOutput(Protocol):
    """What a tool gave."""

    @property
    def text(self) -> str: ...
    @property
    def ok(self) -> bool: ...


class ToolRoom(Protocol):
    """Where tools run, with one folder for the whole trace."""

    def call(self, name: str, arguments: str, /) -> ToolOutput:
        """Runs one tool; a failure of the tool is an output, not an exception."""
        ...

    def files(self) -> dict[str, str]:
        """The files in the folder now: path to text."""
        ...


class Trace(NamedTuple):
    """What the assistant did: messages after the user's, ending with a final one."""

    messages: tuple[Message, ...]

    @property
    def final(self) -> str:
        """The answer to the user."""
        return self.messages[-1].content


def tool_specs() -> tuple[Tool, ...]:
    """The usual tools of the sandbox, as the assistant is told of them."""
    from castalia.sandbox.tools import TOOLS, USUAL

    return tuple(TOOLS[name] for name in USUAL)


def open_room(ctx: Context, packages: Sequence[str]) -> ToolRoom:
    """A fresh, empty folder in the sandbox of the run, where Python may import `packages` (names of installed distributions).

    Raises SandboxUnavailable where the run has no sandbox.
    """
    from castalia.sandbox.tools import ToolSession

    sandbox = ctx.services.get("sandbox")
    if sandbox is None:
        raise SandboxUnavailable(f"stage {ctx.stage!r} must run tools and has no sandbox; `castalia sandbox doctor` names what is missing")
    return ToolSession(sandbox, packages=packages)


class _Step(NamedTuple):
    tool: str
    arguments: str
    output: Fenced


async def run_trace(
    ctx: Context,
    subject: str,
    task: str,
    calls: list[str],
    *,
    tools: Sequence[Tool],
    room: ToolRoom,
    packages: Sequence[str] = (),
    reference: str = "",
    role: str | None = None,
    max_turns: int = 6,
) -> Trace | Flaw:
    """Lets `role` carry out `task` with `tools`. Turn k is asked about as `SUBJECT/turn/K`, from 1; its calls are added to `calls`.

    Gives a Flaw, never a trace without end or without a tool: `trace-unusable-turn`, `trace-unknown-tool`, `trace-without-end`,
    `trace-without-tools`.
    """
    messages: list[Message] = []
    steps: list[_Step] = []
    names = {tool.name for tool in tools}
    for turn in range(1, max_turns + 1):
        values: dict[str, object] = {
            "task": task, "tools": tools, "packages": packages, "reference": fence(reference) if reference else None,
            "steps": steps, "turn": turn, "max_turns": max_turns,
        }  # fmt: skip
        try:
            answer, call = await ctx.ask(TRACE_PROMPT.stem, f"{subject}/turn/{turn}", values, TraceTurn, role=role)
        except AnswerUnusable as error:
            calls.extend(error.calls)
            return Flaw("trace-unusable-turn", f"turn {turn}: {error}")
        calls.append(call)
        if answer.analysis:
            messages.append(Message(role="assistant", channel="analysis", content=answer.analysis))
        if (answer.tool is None) == (answer.final is None):
            return Flaw("trace-unusable-turn", f"turn {turn} needs either a tool or a final answer, and gives {answer!r}")
        if answer.final is not None:
            if not steps:
                return Flaw("trace-without-tools", f"it ends in turn {turn} and calls no tool: {answer.final[:200]!r}")
            messages.append(Message(role="assistant", channel="final", content=answer.final))
            return Trace(tuple(messages))
        if answer.tool is None or answer.tool not in names:
            return Flaw("trace-unknown-tool", f"turn {turn} calls {answer.tool!r}; there are {sorted(names)}")
        arguments = answer.arguments or "{}"
        output = await asyncio.to_thread(room.call, answer.tool, arguments)
        messages += _exchange(answer.tool, arguments, output.text)
        steps.append(_Step(answer.tool, arguments, fence(output.text)))
    return Flaw("trace-without-end", f"{max_turns} turns without a final answer")


def _exchange(tool: str, arguments: str, output: str) -> list[Message]:
    name = f"functions.{tool}"
    return [
        Message(role="assistant", channel="commentary", recipient=name, content=arguments, content_type="json"),
        Message(role="tool", channel="commentary", name=name, content=output),
    ]
