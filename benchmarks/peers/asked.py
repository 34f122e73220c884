"""What the scripts of all peers share: `SCRIPT BASE_URL CALLS CONCURRENCY FOLDER`, three questions as a warm-up, one line of JSON.

A peer is a function from questions to answers that keeps what it needs to continue in a folder. The line has the fields of
`benchmarks.oracle_client`. CPU is that of the process and of all its children; an answer counts when it is the one to its question.
Only the standard library: this runs in the peers' interpreters.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

MODEL = "m"
SYSTEM = "You answer questions about small libraries. " * 8
WARM_UP = ("first", "second", "third")
MAX_TOKENS = 100


class Asked(NamedTuple):
    """What a peer shall do."""

    questions: Sequence[str]
    base_url: str
    """Of an OpenAI-compatible server."""
    in_flight: int
    """Calls at the same time."""
    folder: Path
    """For caches and checkpoints; the same one after a restart."""


def main(answers: Callable[[Asked], Iterable[str]]) -> None:
    """Measures one peer. `answers` gives the answers in any order, each the text of the model's message."""
    base_url, calls, in_flight, folder = sys.argv[1:5]
    list(answers(Asked(WARM_UP, base_url, int(in_flight), _made(Path(folder) / "warm-up"))))
    questions = [f"question {number}" for number in range(int(calls))]
    started, cpu = time.perf_counter(), _cpu_seconds()
    texts = list(answers(Asked(questions, base_url, int(in_flight), _made(Path(folder) / "work"))))
    seconds = time.perf_counter() - started
    right = {f"About {question}." for question in questions} & {_answer(text) for text in texts}
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    line = {"seconds": seconds, "cpu_seconds": _cpu_seconds() - cpu, "answers": len(right), "peak_mb": peak / 1024}
    print(json.dumps(line), flush=True)


def _answer(text: str) -> str | None:
    try:
        return json.loads(text)["answer"]
    except (ValueError, TypeError, KeyError):
        return None


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(item.ru_utime + item.ru_stime for item in used)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
