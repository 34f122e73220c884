"""What the oracle answers when it writes supervised examples for one passage."""

from typing import Literal

from pydantic import Field

from castalia.records import Check, Difficulty, Frozen


class Turn(Frozen):
    """A further exchange of a dialogue."""

    user: str = Field(description="What the user says next.")
    analysis: str = Field(default="", description="Short reasoning before the answer, or empty.")
    answer: str = Field(description="The answer.")


class WrittenExample(Frozen):
    """One example."""

    kind: Literal["grounded-answer", "worked-solution", "structured-explanation", "dialogue"] = Field(description="What kind of example.")
    atoms: tuple[int, ...] = Field(description="Numbers of the atoms it teaches, the main one first; at least one.")
    blocks: tuple[int, ...] = Field(description="Numbers of the blocks that ground the answer, at least one.")
    difficulty: Difficulty = Field(description="For a user of the domain.")
    user: str = Field(description="What the user asks, with everything needed to answer.")
    analysis: str = Field(default="", description="Short reasoning before the answer, or empty.")
    answer: str = Field(description="The gold answer.")
    turns: tuple[Turn, ...] = Field(default=(), description="Further turns, for dialogues only.")
    use_check: bool = Field(default=False, description="Verify the last answer by the executable check of a cited atom.")
    check: Check | None = Field(default=None, description="How an answer to the last question can be checked by text; null where it can't.")


class TraceTask(Frozen):
    """A task to be carried out with tools, for real."""

    number: int = Field(description="From 1, unique in the passage: names the trace.")
    task: str = Field(description="What the user asks for, with everything needed to do it.")
    atoms: tuple[int, ...] = Field(description="Numbers of the atoms it teaches, the main one first.")
    blocks: tuple[int, ...] = Field(description="Numbers of the blocks that ground it.")
    difficulty: Difficulty = Field(description="For a user of the domain.")
    tools: tuple[str, ...] = Field(
        default=(), description="Names of the tools the assistant gets; empty: run_python, write_file and read_file."
    )
    check: Check | None = Field(
        default=None, description="What must hold at the end: kind `state` for files, else a check of the final answer."
    )


class SectionExamples(Frozen):
    """The examples and trace tasks of one passage."""

    examples: tuple[WrittenExample, ...] = Field(default=(), description="Examples, most valuable first.")
    trace_tasks: tuple[TraceTask, ...] = Field(default=(), description="Tasks for agent traces; empty where none fits.")
