"""How a conversation is written down: the recorded choices that decide token ids."""

from typing import Literal

from pydantic import Field

from castalia.records.base import Frozen

Dialect = Literal["A", "B", "C", "D"]


class Style(Frozen):
    """Settings of the renderer. They are part of the identity of everything rendered with them.

    Dialects differ in the header of a tool call, after `<|start|>assistant`:

    A  `<|channel|>commentary to=functions.f <|constrain|>json`
    B  ` to=functions.f<|channel|>commentary <|constrain|>json`
    C  ` to=functions.f<|channel|>commentary json`
    D  ` to=functions.f<|channel|>commentary`
    """

    dialect: Dialect = Field(default="A", description="Form of a tool call's header.")
    preamble: Literal["full", "none"] = Field(default="full", description="`none` leaves the system message out, for small targets.")
    identity: str = Field(
        default="You are ChatGPT, a large language model trained by OpenAI.", description="First line of the system message."
    )
    knowledge_cutoff: str = Field(default="2024-06", description="`YYYY-MM` in the system message.")
