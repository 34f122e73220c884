"""What rendering needs from a tokenizer: ordinary text both ways, and the ids of the seven Harmony tokens."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

START: Final = "<|start|>"
END: Final = "<|end|>"
MESSAGE: Final = "<|message|>"
CHANNEL: Final = "<|channel|>"
CONSTRAIN: Final = "<|constrain|>"
RETURN: Final = "<|return|>"
CALL: Final = "<|call|>"

HARMONY_TOKENS: Final[tuple[str, ...]] = (START, END, MESSAGE, CHANNEL, CONSTRAIN, RETURN, CALL)
"""The tokens a model with another tokenizer gets as added special tokens, in this order."""


class Vocabulary(Protocol):
    """A tokenizer reduced to what Harmony uses. Encoding never yields a special token: `<|end|>` inside data is text."""

    @property
    def name(self) -> str:
        """Names the vocabulary in records and messages."""
        ...

    @property
    def special(self) -> Mapping[str, int]:
        """The ids of the seven Harmony tokens, by their literal."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of ordinary text."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of any ids; special tokens as their literal, ids that mean nothing as U+FFFD. Never raises."""
        ...
