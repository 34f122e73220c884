# pyright: basic
"""Documents that say the same in other words, by the angle between embeddings. A proposal: similar is not equal."""

from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from castalia.engine import load_plugin
from castalia.errors import ConfigError

Meaning = Literal["off", "label", "keep-one"]
Embedder = Callable[[list[str]], NDArray[np.float32]]
"""Takes texts, returns an array of the shape (texts, dimensions): what an entry point of the group offers."""
GROUP = "castalia.embedders"
_BATCH, _ROWS = 256, 1024
_CHARACTERS = 20_000
"""Of a text so much is embedded: the mean over more words tells less."""


class Alike(NamedTuple):
    """Two texts by number, and the cosine of the angle between their embeddings."""

    one: int
    other: int
    cosine: float


def embedder(name: str) -> Embedder:
    """The embedder of this name. Raises ConfigError when it isn't installed."""
    if name != "wordllama":
        return load_plugin(GROUP, name)
    package = find_spec("wordllama")
    if package is None or package.origin is None:
        raise ConfigError("the embedder 'wordllama' is not installed; install `castalia[meaning]`, or set `meaning: off` for deduplicate")
    from wordllama import WordLlama  # pyright: ignore[reportMissingImports]

    # Weights and tokenizer of this size are in its wheel; named as its cache, they are found and nothing is downloaded.
    model = WordLlama.load(cache_dir=Path(package.origin).parent, disable_download=True)
    return lambda texts: np.asarray(model.embed(texts, norm=False), dtype=np.float32)


def alike(texts: Iterable[str], name: str, least: float) -> Iterator[Alike]:
    """Pairs of texts whose cosine similarity is at least `least`, by number. Holds one embedding a text, no pair matrix."""
    vectors = _normal(_embedded(texts, embedder(name)))
    for start in range(0, len(vectors), _ROWS):
        rows = vectors[start : start + _ROWS]
        for column in range(start, len(vectors), _ROWS):
            cosines = rows @ vectors[column : column + _ROWS].T
            for one, other in zip(*np.nonzero(cosines >= least), strict=True):
                if start + one < column + other:
                    yield Alike(int(start + one), int(column + other), round(min(float(cosines[one, other]), 1.0), 6))


def _embedded(texts: Iterable[str], embed: Embedder) -> NDArray[np.float32]:
    parts: list[NDArray[np.float32]] = []
    batch: list[str] = []
    for text in texts:
        batch.append(text[:_CHARACTERS])
        if len(batch) == _BATCH:
            parts.append(np.asarray(embed(batch), dtype=np.float32))
            batch = []
    if batch:
        parts.append(np.asarray(embed(batch), dtype=np.float32))
    return np.concatenate(parts) if parts else np.empty((0, 1), dtype=np.float32)


def _normal(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit length; a text without known words stays zero and is like none."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
