"""What evaluation needs of a model. Rendering and parsing are `castalia.harmony`, the same for every backend."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from castalia.harmony import Vocabulary


class Completion(NamedTuple):
    """What the model wrote after a prompt."""

    ids: tuple[int, ...]  # with the stop token, where the backend returns it
    finished: bool  # stopped at `<|return|>` or `<|call|>`, not at a limit and not at a stop token of another format


class Target(Protocol):
    """A model that continues token ids."""

    @property
    def name(self) -> str:
        """Short name for people."""
        ...

    @property
    def identity(self) -> str:
        """What decides its answers beside seed and temperature: weights, backend, precision."""
        ...

    @property
    def vocabulary(self) -> Vocabulary:
        """Its tokenizer."""
        ...

    @property
    def chunk(self) -> int:
        """How many prompts one call should get, so that it runs at full speed and progress still shows."""
        ...

    def generate(
        self, prompts: Sequence[Sequence[int]], *, max_tokens: Sequence[int], seed: int, temperature: float = 0.0, n: int = 1
    ) -> list[list[Completion]]:
        """`n` completions per prompt, in order, of at most `max_tokens[i]` tokens each. The same seed gives the same answers."""
        ...
