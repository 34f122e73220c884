"""Signatures of sets of shingles: MinHash with banding (Broder 1997; Leskovec, Rajaraman, Ullman, ch. 3).

32 bands of 4 rows: a pair with Jaccard similarity s agrees in a band with probability 1 - (1 - s^4)^32, 0.98 at 0.6.
"""

import numpy as np
from numpy.typing import NDArray

from castalia.stages.deduplicate.words import Hashes

BANDS, ROWS = 32, 4
_MIX = np.uint64(0x9E3779B97F4A7C15)
_RANDOM = np.random.Generator(np.random.PCG64(20230))
_FACTORS = _RANDOM.integers(0, 2**63, size=BANDS * ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSETS = _RANDOM.integers(0, 2**63, size=BANDS * ROWS, dtype=np.uint64)


def band_keys(hashes: Hashes) -> NDArray[np.uint32] | None:
    """One key a band, shape (32,), above 0; documents that share a key agree in that band, but for one pair in four billion. None for
    no shingles."""
    minima = signature(hashes)
    if minima is None:
        return None
    keys = np.arange(1, BANDS + 1, dtype=np.uint64) * _MIX
    for row in minima.reshape(BANDS, ROWS).T:
        keys = (keys ^ row) * _MIX
        keys ^= keys >> np.uint64(31)
    return np.maximum(keys >> np.uint64(32), np.uint64(1)).astype(np.uint32)


def signature(hashes: Hashes) -> NDArray[np.uint64] | None:
    """Minima of 128 multiply-shift hash functions (Dietzfelbinger et al. 1997), 32 bits each, shape (128,); None for no shingles."""
    if not len(hashes):
        return None
    minima = np.full(BANDS * ROWS, np.iinfo(np.uint64).max, dtype=np.uint64)
    for start in range(0, len(hashes), 512):  # 512 KB at a time stay in the cache
        hashed = _FACTORS[:, None] * hashes[None, start : start + 512]
        hashed += _OFFSETS[:, None]
        np.minimum(minima, hashed.min(axis=1) >> np.uint64(32), out=minima)
    return minima
