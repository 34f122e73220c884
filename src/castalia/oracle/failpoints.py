"""Places where a test may kill the process, as a crash or the out-of-memory killer would.

`CASTALIA_FAILPOINT=NAME` kills at the first passage of NAME, `NAME:3` at the third. Without the variable nothing happens.
"""

import os
import signal
from itertools import count
from typing import Literal

Failpoint = Literal[
    "before-intent", "after-intent", "mid-send", "after-headers", "mid-body", "before-commit", "mid-commit", "after-commit",
    "batch-prepared", "batch-uploaded", "batch-created", "batch-adopted", "batch-claimed", "batch-found",
    "batch-polled", "batch-line", "batch-results", "batch-ended",
]  # fmt: skip
"""In the order in which a call, or a batch, passes them; `mid-commit` lies in every commit.

`batch-claimed` and `batch-found` are passed by a process that goes on where another one was killed; `batch-line` by every line of results,
`batch-results` after every commit of some of them.
"""

_wanted, _, _number = os.environ.get("CASTALIA_FAILPOINT", "").partition(":")
_passages = count(1)


def arm(where: str) -> None:
    """Does for this process what the environment variable does at its start: `NAME`, `NAME:3`, or empty for nothing."""
    global _wanted, _number, _passages
    _wanted, _, _number = where.partition(":")
    _passages = count(1)


def is_armed(name: Failpoint) -> bool:
    """Whether this process is to die at `name`, for places that can't be reached without a detour."""
    return name == _wanted


def failpoint(name: Failpoint) -> None:
    """Kills this process with SIGKILL when the environment asks for it here."""
    if name == _wanted and next(_passages) == int(_number or 1):
        os.kill(os.getpid(), signal.SIGKILL)
