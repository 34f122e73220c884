# pyright: basic
"""Pairs of documents worth comparing. Both ways propose only.

Bands: documents that agree in one of 32 bands of their MinHash signatures; grouped by Daft, which spills and shuffles.
Probes: a short text within a long one has a low Jaccard similarity, and no band in common with it. So each document asks with
its 16 smallest shingle hashes who else has them; three answers make a pair.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from castalia.stages.deduplicate.minhash import BANDS
from castalia.stages.deduplicate.words import Hashes

PROBES = 16
_ANSWERS = 3
_FULL_BUCKET, _LEADERS = 50, 8

Pairs = NDArray[np.int64]
"""Shape (pairs, 2): smaller and larger number of a document, sorted, each pair once."""


def band_pairs(keys: NDArray[np.uint64]) -> Pairs:
    """Pairs that share a band. `keys` has the shape (documents, 32), zeros for documents without shingles."""
    import daft

    documents = np.repeat(np.arange(len(keys), dtype=np.int64), BANDS)
    flat = keys.reshape(-1)
    used = flat != 0
    frame = daft.from_arrow(pa.table({"key": flat[used], "document": documents[used]}))
    document = daft.col("document")
    grouped = frame.groupby("key").agg(document.list_agg().alias("documents"), document.count().alias("count"))
    found = [np.empty((0, 2), dtype=np.int64)]
    for batch in grouped.where("count > 1").select("documents").to_arrow_iter():
        for members in batch.column(0):
            found.append(_bucket_pairs(np.sort(np.asarray(members.values))))
            if len(found) > 4096:
                found = [_unique(found)]
    return _unique(found)


def probe_pairs(probes: NDArray[np.uint64], shingles: Iterator[Hashes]) -> Pairs:
    """Pairs of which one has at least three of the other's probes.

    `probes` has the shape (documents, 16), zeros where a document has fewer; `shingles` gives each document's, in order.
    """
    owners = np.repeat(np.arange(len(probes), dtype=np.int64), PROBES)
    flat = probes.reshape(-1)
    order = np.argsort(flat, kind="stable")
    order = order[flat[order] != 0]
    asked, owners = flat[order], owners[order]
    distinct, first = np.unique(asked, return_index=True)
    if not len(distinct):
        return np.empty((0, 2), dtype=np.int64)
    ends = np.append(first[1:], len(asked))
    hits: list[Pairs] = [np.empty((0, 2), dtype=np.int64)]
    for number, hashes in enumerate(shingles):
        places = np.searchsorted(distinct, hashes)
        places[places == len(distinct)] = 0
        known = places[distinct[places] == hashes]
        known = known[ends[known] - first[known] <= _FULL_BUCKET]  # what many ask with tells nothing
        if not len(known):
            continue
        asking = np.concatenate([owners[first[place] : ends[place]] for place in known])
        partners, counts = np.unique(asking, return_counts=True)
        enough = partners[(counts >= _ANSWERS) & (partners != number)]
        if len(enough):
            both = np.stack([np.minimum(enough, number), np.maximum(enough, number)], axis=1)
            hits.append(both.astype(np.int64))
    return _unique(hits)


def probes_of(hashes: Hashes) -> NDArray[np.uint64]:
    """The 16 smallest hashes, shape (16,), padded with zeros."""
    padded = np.zeros(PROBES, dtype=np.uint64)
    padded[: min(PROBES, len(hashes))] = hashes[:PROBES]
    return padded


def merged(*sets: Pairs) -> Pairs:
    """All pairs of all sets, each once."""
    return _unique(list(sets))


def _bucket_pairs(members: NDArray[np.int64]) -> Pairs:
    """All pairs of a bucket; in a full one each document with the most preferred ones only, for the others repeat those."""
    leaders = members if len(members) <= _FULL_BUCKET else members[:_LEADERS]
    left, right = np.meshgrid(leaders, members, indexing="ij")
    ordered = left < right
    return np.stack([left[ordered], right[ordered]], axis=1).astype(np.int64)


def _unique(found: list[Pairs]) -> Pairs:
    return np.unique(np.concatenate(found), axis=0)
