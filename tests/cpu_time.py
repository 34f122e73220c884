"""How long work takes, told apart from what else the machine does at the time."""

import gc
import time
from collections.abc import Callable


def cpu_seconds(work: Callable[[], object]) -> float:
    """The least processor time of this thread that the work took in three tries.

    Not the clock of the wall, and not that of other threads; no garbage of earlier tests is collected meanwhile.
    """

    def once() -> float:
        started = time.thread_time()
        work()
        return time.thread_time() - started

    collecting = gc.isenabled()
    gc.disable()
    try:
        return min(once() for _ in range(3))
    finally:
        if collecting:
            gc.enable()
