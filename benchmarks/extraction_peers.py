# pyright: basic
"""Other extractors on the same pages, each in a process of its own environment."""

import json
import re
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.extraction_gold import Page, Pair
from benchmarks.extraction_measures import Structure, code_found, word_f1
from benchmarks.peers.environments import environment

PEERS = {
    "trafilatura": ("trafilatura==2.3.1", "lxml_html_clean"),
    "resiliparse": ("resiliparse==2.0.1",),
    "readability": ("readability-lxml==0.9", "lxml_html_clean"),
}
SECONDS = 600.0


def run_peers(pages: Sequence[Page], pairs: Sequence[Pair], nulls: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Figures of every peer that is installed; the others are named in `nulls`."""
    found: dict[str, dict[str, Any]] = {}
    for name, requirements in PEERS.items():
        python = environment(name, requirements)
        if python is None:
            nulls[name] = "not installed; `--peers` installs it"
            continue
        answer = _call(python, name, pages, pairs)
        if isinstance(answer, str):
            nulls[name] = answer
            continue
        found[name] = _figures(answer, pages, pairs)
    return found


def _call(python: Path, name: str, pages: Sequence[Page], pairs: Sequence[Pair]) -> dict[str, Any] | str:
    script = Path(__file__).with_name("peers") / "extractors.py"
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder) / "request.json", Path(folder) / "answer.json"
        request.write_text(json.dumps([[item.html, item.url] for item in (*pages, *pairs)]), encoding="utf-8")
        try:
            done = subprocess.run([python, script, name, request, answer], capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return f"took longer than {SECONDS:.0f} s"
        if done.returncode:
            return f"failed: {(done.stderr.strip().splitlines() or ['no message'])[-1][:200]}"
        return json.loads(answer.read_text(encoding="utf-8"))


def _figures(answer: dict[str, Any], pages: Sequence[Page], pairs: Sequence[Pair]) -> dict[str, Any]:
    texts, seconds = answer["texts"], answer["seconds"]
    scores: defaultdict[str, list[float]] = defaultdict(list)
    code = Structure()
    for page, text in zip(pages, texts, strict=False):
        scores[page.kind].append(word_f1(text, page.text))
        code += code_found(page.code, [text])
    pair_scores = [word_f1(re.sub(r"\]\([^)]*\)", "]", text), pair.text) for pair, text in zip(pairs, texts[len(pages) :], strict=True)]
    return {
        "f1": fmean(score for of_kind in scores.values() for score in of_kind) if scores else None,
        "f1_forum": fmean(scores["forum"]) if scores["forum"] else None,
        "code_verbatim": code.share,
        "pairs_f1": fmean(pair_scores) if pair_scores else None,
        "docs_per_s_core": len(pages) / sum(seconds[: len(pages)]) if pages else None,
    }
