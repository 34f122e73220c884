# pyright: basic
"""The fitted model: how likely is it that each unit is main content?

Embedded names and words, one dense layer, means over units of the same shape, over siblings and over the page, then convolutions along
the reading order (dilated, as in Yu and Koltun 2016, so that a unit sees its neighborhood), all in numpy and on one core. `python -m
benchmarks.extraction_fit` makes the file.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np

from castalia.web.extract.features import Features

FILE = Path(__file__).with_name("model.npz")
_ROWS = 64
"""Units that are multiplied at once. OpenBLAS wakes its threads for products of more than 2^18 steps, which here is 64 times 128 times 32:
they would save nothing and keep every core busy."""


class Model:
    """Weights as float32 arrays, read once per process."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        self.fitted = frozenset(str(name) for name in np.atleast_1d(arrays.pop("fitted")))
        """Fingerprints of the pages that it was fitted on."""
        self.dilations = [int(value) for value in arrays.pop("dilations")]
        for name in ("names", "words"):
            arrays[name] = arrays[name].astype(np.float32) * arrays.pop(f"{name}_scale").astype(np.float32)[:, None, None]
        stacked = {name: array.astype(np.float32) for name, array in arrays.items()}
        # One product gives what each unit says to the unit before, to itself and to the unit after.
        for number in range(len(self.dilations)):
            stacked[f"taps{number}"] = np.concatenate(np.split(stacked.pop(f"conv{number}"), 3, 1), 2)
        self.networks = [
            {name: np.ascontiguousarray(array[number]) for name, array in stacked.items()} for number in range(len(stacked["out"]))
        ]

    def probabilities(self, features: Features) -> np.ndarray:
        """[N] float32 between 0 and 1: the mean over networks that were fitted from different beginnings."""
        return np.mean([self._judge(weights, features) for weights in self.networks], 0)

    def _judge(self, weights: dict[str, np.ndarray], features: Features) -> np.ndarray:
        own = _sums(weights["names"][features.names], features.name_starts)
        parents = features.parents
        elements = features.elements
        words = _sums(weights["words"][features.words], features.word_starts)
        words /= np.sqrt(np.maximum(1, np.diff(features.word_starts)))[:, None]
        dense = features.dense * weights["norm_scale"] + weights["norm_shift"]
        far = _sums_upwards(own, parents)[elements] * 0.3
        joined = np.concatenate([dense, own[elements] + own[parents[elements]], own[features.branches], far, words], 1)
        hidden = _layer(joined, weights["inp"], weights["inp_bias"])
        size = np.sqrt(1 + features.sizes).astype(np.float32)[:, None]
        page = np.broadcast_to(_mean(hidden, size), hidden.shape)
        pooled = [hidden, _means(hidden, size, features.shapes), _means(hidden, size, features.siblings), page]
        hidden = _layer(np.concatenate(pooled, 1), weights["mix"], weights["mix_bias"])
        for number, dilation in enumerate(self.dilations):
            hidden += _convolve(hidden, dilation, weights[f"taps{number}"], weights[f"conv{number}_bias"])
        hidden += _product(_mean(hidden, size), weights["page"]) + weights["page_bias"]
        score = _product(_relu(hidden), weights["out"])[:, 0] + weights["out_bias"][0]
        return 1 / (1 + np.exp(-score))


@lru_cache(maxsize=1)
def shipped_model() -> Model:
    """The model in the package."""
    return Model(FILE)


def _product(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    product = np.empty((len(rows), weights.shape[1]), np.float32)
    for start in range(0, len(rows), _ROWS):
        np.matmul(rows[start : start + _ROWS], weights, out=product[start : start + _ROWS])
    return product


def _layer(rows: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    product = _product(rows, weights)
    product += bias
    return _relu(product)


def _relu(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, 0, out=values)


def _sums(rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums of consecutive rows: [E, D] for E + 1 starts. An empty run gives zeros."""
    sums = np.zeros((len(starts) - 1, rows.shape[1]), np.float32)
    filled = np.flatnonzero(np.diff(starts))
    if len(filled):
        sums[filled] = np.add.reduceat(rows, starts[filled], axis=0)
    return sums


def _sums_upwards(own: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """For each element the sum over itself and all around it, [E, D], in as many steps as its depth has binary digits."""
    nothing = len(own)
    sums = np.concatenate([own, np.zeros((1, own.shape[1]), np.float32)])
    above = np.append(parents, nothing)
    above[0] = nothing
    while (above != nothing).any():
        sums += sums[above]
        above = above[above]
    return sums[:-1]


def _mean(hidden: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The weighted mean over all units, [1, H]."""
    return (hidden * size).sum(0, keepdims=True) / size.sum()


def _means(hidden: np.ndarray, size: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """For each unit the weighted mean over its group, [N, H]; groups are numbered from 0."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    sums = np.add.reduceat((hidden * size)[order], starts, axis=0) / np.add.reduceat(size[order], starts, axis=0)
    return sums[groups]


def _convolve(hidden: np.ndarray, dilation: int, taps: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Convolution over three places `dilation` apart; `taps` are [H, 3 H], zeros stand beyond both ends."""
    before, same, after = np.split(_product(hidden, taps), 3, axis=1)
    same[dilation:] += before[:-dilation]
    same[:-dilation] += after[dilation:]
    same += bias
    return _relu(same)
