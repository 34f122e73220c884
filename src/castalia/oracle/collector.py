"""Lets the garbage collector look less often while calls are in flight: each look walks thousands of living objects and finds nothing."""

import gc
from collections.abc import Generator
from contextlib import contextmanager

THRESHOLDS = (25_000, 20, 100)
"""With 1,024 askers and 256 calls in flight Python's own 700 objects cost a fifth of the client's time."""


@contextmanager
def collect_seldom() -> Generator[None]:
    """Raises the collector's thresholds, for the whole process, and restores them. Thresholds that are higher already, or off, stay."""
    before = gc.get_threshold()
    if not 0 < before[0] < THRESHOLDS[0]:
        yield
        return
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
