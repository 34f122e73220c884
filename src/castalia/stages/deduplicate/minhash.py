"""Near-duplicate candidates by MinHash with banding (Broder 1997; Leskovec, Rajaraman, Ullman, ch. 3).

32 bands of 4 rows: a pair with Jaccard similarity s becomes a candidate with probability 1 - (1 - s^4)^32, 0.98 at 0.6.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

BANDS, ROWS = 32, 4
SHINGLE = 5
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+")
_FULL_BUCKET, _LEADERS = 50, 8
_MIX = np.uint64(0x9E3779B97F4A7C15)

Hashes = NDArray[np.uint64]


def shingle_hashes(text: str) -> Hashes:
    """Sorted unique 64-bit hashes, shape (shingles,), of all runs of five words; a shorter text is one shingle."""
    words = _WORD.findall(text.lower())
    if not words:
        return np.empty(0, dtype=np.uint64)
    known: dict[str, int] = {}
    for word in words:
        if word not in known:
            known[word] = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
    values = np.array([known[word] for word in words], dtype=np.uint64)
    length = min(SHINGLE, len(values))
    count = len(values) - length + 1
    combined = np.zeros(count, dtype=np.uint64)
    for place in range(length):
        combined = (combined ^ values[place : place + count]) * _MIX
        combined ^= combined >> np.uint64(29)
    return np.unique(combined)


def jaccard(one: Hashes, other: Hashes) -> float:
    """Size of the intersection by size of the union, 0..1; two empty sets are different."""
    if not len(one) or not len(other):
        return 0.0
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)


def candidates(documents: Sequence[Hashes]) -> Iterator[tuple[int, int]]:
    """Pairs (smaller, larger index) that agree in at least one band, in order, each once."""
    signatures = [_signature(hashes) for hashes in documents]
    pairs: set[tuple[int, int]] = set()
    for band in range(BANDS):
        buckets: defaultdict[bytes, list[int]] = defaultdict(list)
        for index, signature in enumerate(signatures):
            if signature is not None:
                buckets[signature[band * ROWS : (band + 1) * ROWS].tobytes()].append(index)
        for members in buckets.values():
            # In a large bucket every document is paired with the most preferred ones only: the others repeat those.
            for place, one in enumerate(members if len(members) <= _FULL_BUCKET else members[:_LEADERS]):
                pairs.update((one, other) for other in members[place + 1 :])
    yield from sorted(pairs)


def _signature(hashes: Hashes) -> NDArray[np.uint32] | None:
    """Minima of 128 multiply-shift hash functions (Dietzfelbinger et al. 1997), shape (128,); None for no shingles."""
    if not len(hashes):
        return None
    minima = np.full(BANDS * ROWS, np.iinfo(np.uint32).max, dtype=np.uint32)
    for start in range(0, len(hashes), 4096):
        part = hashes[start : start + 4096]
        hashed = (_FACTORS[:, None] * part[None, :] + _OFFSETS[:, None]) >> np.uint64(32)
        minima = np.minimum(minima, hashed.min(axis=1).astype(np.uint32))
    return minima


_RANDOM = np.random.Generator(np.random.PCG64(20230))
_FACTORS = _RANDOM.integers(0, 2**63, size=BANDS * ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSETS = _RANDOM.integers(0, 2**63, size=BANDS * ROWS, dtype=np.uint64)
