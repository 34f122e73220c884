# pyright: basic
"""The fitted model: how likely is it that each unit is main content?

Embedded names and words, one dense layer, means over units of the same shape, over siblings and over the page, then convolutions along
the reading order (dilated, as in Yu and Koltun 2016, so that a unit sees its neighborhood), all in numpy. `python -m
benchmarks.extraction_fit` makes the file.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np

from castalia.web.extract.features import Features

FILE = Path(__file__).with_name("model.npz")


class Model:
    """Weights as float32 arrays, read once per process."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        self.fitted = frozenset(str(name) for name in np.atleast_1d(arrays.pop("fitted")))
        """Fingerprints of the pages that it was fitted on."""
        scales = {name: arrays.pop(f"{name}_scale").astype(np.float32) for name in ("names", "words")}
        self.weights = {name: array.astype(np.float32) for name, array in arrays.items() if name != "dilations"}
        self.dilations = [int(value) for value in arrays["dilations"]]
        for name, scale in scales.items():
            self.weights[name] *= scale

    def probabilities(self, features: Features) -> np.ndarray:
        """[N] float32 between 0 and 1."""
        weights = self.weights
        count = len(features.dense)
        own = _sums(weights["names"][features.names], features.name_starts)
        far = own.copy()
        parents = features.parents
        for element in range(1, len(far)):
            far[element] += far[parents[element]]
        elements = features.elements
        words = _sums(weights["words"][features.words], features.word_starts)
        words /= np.sqrt(np.maximum(1, np.diff(features.word_starts)))[:, None]
        dense = features.dense * weights["norm_scale"] + weights["norm_shift"]
        joined = np.concatenate([dense, own[elements] + own[parents[elements]], own[features.branches], far[elements] * 0.3, words], 1)
        hidden = _relu(joined @ weights["inp"] + weights["inp_bias"])
        size = np.sqrt(1 + features.sizes).astype(np.float32)[:, None]
        page = np.zeros(count, np.int32)
        pooled = [hidden, *(_means(hidden, size, groups) for groups in (features.shapes, features.siblings, page))]
        hidden = _relu(np.concatenate(pooled, 1) @ weights["mix"] + weights["mix_bias"])
        for number, dilation in enumerate(self.dilations):
            hidden = hidden + _relu(_convolve(hidden, dilation, weights[f"conv{number}"]) + weights[f"conv{number}_bias"])
        whole = (hidden * size).sum(0) / size.sum()
        hidden = _relu(hidden + (whole @ weights["page"] + weights["page_bias"]))
        score = hidden @ weights["out"][:, 0] + weights["out_bias"][0]
        return 1 / (1 + np.exp(-score))


@lru_cache(maxsize=1)
def shipped_model() -> Model:
    """The model in the package."""
    return Model(FILE)


def _relu(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, 0, out=values)


def _sums(rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums of consecutive rows: [E, D] for E + 1 starts. An empty run gives zeros."""
    sums = np.zeros((len(starts) - 1, rows.shape[1]), np.float32)
    filled = np.flatnonzero(np.diff(starts))
    if len(filled):
        sums[filled] = np.add.reduceat(rows, starts[filled], axis=0)
    return sums


def _means(hidden: np.ndarray, size: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """For each unit the weighted mean over its group, [N, H]."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    sums = np.add.reduceat((hidden * size)[order], starts, axis=0) / np.add.reduceat(size[order], starts, axis=0)
    return sums[groups]


def _convolve(hidden: np.ndarray, dilation: int, weights: np.ndarray) -> np.ndarray:
    """Convolution over three places `dilation` apart; `weights` are [3 H, H], zeros stand beyond both ends."""
    padded = np.zeros((len(hidden) + 2 * dilation, hidden.shape[1]), np.float32)
    padded[dilation : dilation + len(hidden)] = hidden
    return np.concatenate([padded[: len(hidden)], hidden, padded[2 * dilation :]], 1) @ weights
