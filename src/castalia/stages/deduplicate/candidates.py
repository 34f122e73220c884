# pyright: basic
"""Pairs of documents worth comparing. Both ways propose only.

Bands: documents that agree in one of 32 bands of their MinHash signatures, found by sorting one band after the other.
Probes: a short text within a long one has a low Jaccard similarity, and no band in common with it. So each document asks with
its 16 smallest shingle hashes who else has them; three answers make a pair.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from castalia.stages.deduplicate.words import Hashes

PROBES = 16
_ANSWERS = 3
_FULL_BUCKET, _LEADERS = 50, 8
_PENDING = 4096

Pairs = NDArray[np.int64]
"""Shape (pairs, 2): smaller and larger number of a document, sorted, each pair once."""


def band_pairs(keys: NDArray[np.uint32]) -> Pairs:
    """Pairs that share a band. `keys` has the shape (documents, 32), zeros for documents without shingles."""
    found = [np.empty((0, 2), dtype=np.int64)]
    for band in keys.T:
        order = np.argsort(band, kind="stable")
        order = order[np.count_nonzero(band == 0) :]
        bounds = _bounds(band[order])
        shared = np.flatnonzero(np.diff(bounds) > 1)
        found.extend(_bucket_pairs(order[bounds[run] : bounds[run + 1]]) for run in shared)
        found = [_unique(found)]
    return found[0]


def probe_pairs(probes: NDArray[np.uint64], shingles: Iterator[Hashes]) -> Pairs:
    """Pairs of which one has at least three of the other's probes.

    `probes` has the shape (documents, 16), zeros where a document has fewer; `shingles` gives each document's, in order.
    """
    flat = probes.reshape(-1)
    order = np.argsort(flat, kind="stable")
    order = order[np.count_nonzero(flat == 0) :]
    asked, owners = flat[order], (order // PROBES).astype(np.int32)
    del order
    bounds = _bounds(asked)
    distinct = asked[bounds[:-1]]
    del asked
    if not len(distinct):
        return np.empty((0, 2), dtype=np.int64)
    hits: list[Pairs] = [np.empty((0, 2), dtype=np.int64)]
    for number, hashes in enumerate(shingles):
        places = np.searchsorted(distinct, hashes)
        places[places == len(distinct)] = 0
        known = places[distinct[places] == hashes]
        known = known[bounds[known + 1] - bounds[known] <= _FULL_BUCKET]  # what many ask with tells nothing
        if not len(known):
            continue
        asking = np.concatenate([owners[bounds[place] : bounds[place + 1]] for place in known])
        partners, counts = np.unique(asking, return_counts=True)
        enough = partners[(counts >= _ANSWERS) & (partners != number)]
        if len(enough):
            both = np.stack([np.minimum(enough, number), np.maximum(enough, number)], axis=1)
            hits.append(both.astype(np.int64))
        if len(hits) > _PENDING:
            hits = [_unique(hits)]
    return _unique(hits)


def probes_of(hashes: Hashes) -> NDArray[np.uint64]:
    """The 16 smallest hashes, shape (16,), padded with zeros."""
    padded = np.zeros(PROBES, dtype=np.uint64)
    padded[: min(PROBES, len(hashes))] = hashes[:PROBES]
    return padded


def merged(*sets: Pairs) -> Pairs:
    """All pairs of all sets, each once."""
    return _unique(list(sets))


def _bounds(ordered: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
    """Where the runs of equal values begin, and where the last one ends; shape (runs + 1,)."""
    return np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, [len(ordered)][: len(ordered)]]).astype(np.int64)


def _bucket_pairs(members: NDArray[np.int64]) -> Pairs:
    """All pairs of a bucket; in a full one each document with the most preferred ones only, for the others repeat those."""
    leaders = members if len(members) <= _FULL_BUCKET else members[:_LEADERS]
    left, right = np.meshgrid(leaders, members, indexing="ij")
    ordered = left < right
    return np.stack([left[ordered], right[ordered]], axis=1).astype(np.int64)


def _unique(found: list[Pairs]) -> Pairs:
    pairs = np.concatenate(found)
    packed = np.unique(pairs[:, 0] << 32 | pairs[:, 1])  # sorts numbers, not rows
    return np.stack([packed >> 32, packed & 0xFFFFFFFF], axis=1)
