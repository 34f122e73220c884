# pyright: basic
"""Personal data: what of the labelled is found, what is found wrongly, what changes in code, and how fast.

A find counts when its kind is that of the label and the two share at least half of what they cover together. Kinds that a
set doesn't label are not judged on it. The figures are those of the held-out half; the table beside them shows the whole.
"""

import json
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.peers.environments import environment
from benchmarks.pii_gold import STRUCTURED, Case, Label, cases, code_blocks, texts
from castalia.web.pii import PERSONAL, find_personal_data

KINDS = frozenset(STRUCTURED.values())
ALL = (*PERSONAL, "URL")


class Score(NamedTuple):
    """Counts of one kind."""

    right: int
    missed: int
    wrong: int

    @property
    def recall(self) -> float | None:
        return self.right / (self.right + self.missed) if self.right + self.missed else None

    @property
    def precision(self) -> float | None:
        return self.right / (self.right + self.wrong) if self.right + self.wrong else None

    @property
    def f1(self) -> float:
        return 2 * self.right / max(1, 2 * self.right + self.missed + self.wrong)


def run(gold: Path | None, quick: bool) -> dict[str, Any]:
    """Measures in one process; peers in a process of theirs."""
    if gold is None or not (gold / "pii").is_dir():
        return {"figures": {}, "nulls": {"recall_structured": "no reference data; name its folder with --gold"}}
    labelled = cases(gold / "pii")
    held = [case for case in labelled if case.held_out]
    nulls: dict[str, str] = {}
    scores, whole = score(held, ours), score(labelled, ours)
    figures: dict[str, Any] = {**_totals(scores), **{f"{name}_whole": value for name, value in _totals(whole).items()}}
    blocks = code_blocks(gold)
    changed = [block for block in blocks if find_personal_data(block, code=True)]
    figures |= {"code_blocks": len(blocks), "code_bytes_changed": sum(len(block.encode()) for block in changed)}
    real = texts(gold)[:: 8 if quick else 1]
    figures["mb_per_s_core"] = speed(real, ours)
    figures["mb_per_s_core_dense"] = speed([case.text for case in labelled], ours)
    peers: dict[str, Any] = {"castalia": _row(_structured(whole), _structured(scores)) | {"MB/s": figures["mb_per_s_core"]}}
    peers |= _presidio(labelled, real, nulls)
    peers |= {f"castalia, {kind}": _row(whole[kind], scores[kind]) for kind in sorted(KINDS)}
    return {"figures": figures, "peers": peers, "nulls": nulls}


def ours(text: str) -> Iterable[Label]:
    """What our detector finds in a text, documentation values and web addresses included."""
    return [Label(span.start, span.end, span.kind) for span in find_personal_data(text, kinds=ALL, reserved=True)]


def score(labelled: Sequence[Case], find: Callable[[str], Iterable[Label]]) -> dict[str, Score]:
    """Counts by kind, judged per set of cases on the kinds that the set labels."""
    right: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    judged: defaultdict[str, set[str]] = defaultdict(set)
    for case in labelled:
        judged[case.source] |= {label.kind for label in case.labels}
    for case in labelled:
        found = [label for label in find(case.text) if label.kind in judged[case.source]]
        for label in case.labels:
            (right if any(_same(label, other) for other in found) else missed)[label.kind] += 1
        wrong.update(label.kind for label in found if not any(_same(label, other) for other in case.labels))
    return {kind: Score(right[kind], missed[kind], wrong[kind]) for kind in {*right, *missed, *wrong, *KINDS}}


def speed(documents: Sequence[str], find: Callable[[str], Any]) -> float:
    """Megabytes of UTF-8 a second of one core."""
    size = sum(len(text.encode()) for text in documents)
    start = time.process_time()
    for text in documents:
        find(text)
    return size / 1e6 / (time.process_time() - start)


def _same(one: Label, other: Label) -> bool:
    shared = min(one.end, other.end) - max(one.start, other.start)
    return one.kind == other.kind and shared * 2 >= max(one.end, other.end) - min(one.start, other.start)


def _totals(scores: dict[str, Score]) -> dict[str, Any]:
    structured = _structured(scores)
    return {
        "recall_structured": structured.recall,
        "precision_structured": structured.precision,
        "f1_structured": structured.f1,
        "f1_all": _sum(scores.values()).f1,
    }


def _structured(scores: dict[str, Score]) -> Score:
    return _sum(scores[kind] for kind in KINDS)


def _presidio(labelled: Sequence[Case], real: Sequence[str], nulls: dict[str, str]) -> dict[str, Any]:
    """Presidio's patterns on the same cases, with every match and with those of a telling score, and on the same pages."""
    python = environment("presidio", ["presidio-analyzer==2.2.366"])
    if python is None:
        nulls["presidio's patterns"] = "not installed; `--peers` installs it into an environment of its own under the user's cache"
        return {}
    timed = real[::5]
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder) / "request.json", Path(folder) / "answer.json"
        request.write_text(json.dumps({"texts": [case.text for case in labelled], "timed": timed}), encoding="utf-8")
        script = Path(__file__).parent / "peers" / "presidio.py"
        done = subprocess.run([python, script, request, answer], capture_output=True, text=True, timeout=900)
        if done.returncode:
            nulls["presidio's patterns"] = f"ended with {done.returncode}: {(done.stderr.strip().splitlines() or ['no message'])[-1][:200]}"
            return {}
        result = json.loads(answer.read_text(encoding="utf-8"))
    rate = sum(len(text.encode()) for text in timed) / 1e6 / result["seconds"]
    rows: dict[str, Any] = {}
    for name, least in (("every match", 0.0), ("score of 0.4 and more", 0.4)):
        found = {
            case.text: [
                Label(start, end, STRUCTURED.get(kind, "URL" if kind == "URL" else kind))
                for start, end, kind, score in spans
                if score >= least
            ]
            for case, spans in zip(labelled, result["found"], strict=True)
        }
        whole = _structured(score(labelled, found.__getitem__))
        held = _structured(score([case for case in labelled if case.held_out], found.__getitem__))
        rows[f"presidio 2.2.366 patterns, {name}"] = _row(whole, held) | {"MB/s": rate}
    return rows


def _sum(scores: Iterable[Score]) -> Score:
    return Score(*map(sum, zip(*scores, strict=True)))


def _row(whole: Score, held: Score) -> dict[str, Any]:
    return {
        "labelled": whole.right + whole.missed,
        "recall": whole.recall,
        "precision": whole.precision,
        "held out": held.right + held.missed,
        "recall there": held.recall,
        "precision there": held.precision,
    }
