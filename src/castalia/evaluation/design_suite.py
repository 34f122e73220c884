"""The evaluation suite, written from the taxonomy before any page is fetched.

Every item proves itself before it is kept: its reference passes its own check, an executable one in the sandbox, and an
item with tools is solved for real by the calls that came with it.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from castalia.engine.stage import Params
from castalia.engine.trace import ArgumentsText
from castalia.records import Bank, Check, Frozen

PROMPT = Path(__file__).with_suffix(".md")


class SuiteParams(Params):
    """What the suite holds."""

    domain: str = Field(description="The domain, in words for the oracle.")
    dev: int = Field(1, ge=0, description="Items per node in the DEV bank.")
    gate: int = Field(4, ge=1, description="Items per node in the GATE bank.")
    vault: int = Field(1, ge=0, description="Items per node in the VAULT bank.")
    runners: tuple[str, ...] = Field((), description="Runners for execution checks: `NAME: what candidate, input and value are`.")


class SolvingCall(Frozen):
    """One tool call of a solution."""

    tool: str = Field(description="Name of the tool.")
    arguments: ArgumentsText = Field(description="Its arguments, a JSON object as text.")


class WrittenItem(Frozen):
    """One item."""

    bank: Bank = Field(description="dev, gate or vault.")
    cluster: str = Field(description="Slug that items built on the same idea share.")
    question: str = Field(description="What the model is asked, with the form to answer in.")
    check: Check = Field(description="What a right answer is.")
    reference: str = Field(description="A right answer in exactly the form asked for.")
    max_tokens: Annotated[int, Field(ge=1)] = Field(96, description="Upper bound of the answer in tokens, all turns together.")
    tools: bool = Field(False, description="Whether the model gets the tools.")
    solution: tuple[SolvingCall, ...] = Field((), description="For items with tools: the calls that solve it.")


class WrittenItems(Frozen):
    """The items of one node."""

    items: tuple[WrittenItem, ...] = Field(description="All items of the node.")
