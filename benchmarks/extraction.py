# pyright: basic
"""Extraction: how much of a page's main content becomes text, and how much of its structure survives, beside other extractors.

Word F1 is that of bags of lower-case words (`\\w+`), averaged over pages, as the public benchmark of these pages defines it. The
shipped model names the pages that it was fitted on; they are never in a figure. Peers get the same pages in a process of their own.
Documents per second and core are pages by CPU time of the whole process, every thread counted: a second busy core makes them fewer.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.extraction_gold import Page, Pair, held_out, read_pages, read_pairs
from benchmarks.extraction_measures import Structure, code_found, headings_kept, rows_found, word_f1
from benchmarks.extraction_peers import run_peers
from castalia.web.extract import extract, plain_text

QUICK_PAGES = 60


def run(gold: Path | None, quick: bool) -> dict[str, Any]:
    """Figures over held-out pages and over all HTML-Markdown pairs."""
    nulls: dict[str, str] = {}
    if gold is None:
        return {"figures": {}, "nulls": {"f1": "no reference data: give its folder with --gold"}}
    pages = held_out(read_pages(gold / "html" / "wcxb-dev"))
    pages = pages[:: max(1, len(pages) // QUICK_PAGES)] if quick else pages
    pairs = read_pairs(gold / "html" / "markdown-pairs-half")
    figures: dict[str, Any] = {"pages": len(pages), "pairs": len(pairs)}
    figures |= _pages(pages) | _pairs(pairs)
    return {"figures": figures, "peers": {"castalia": _side(figures), **run_peers(pages, pairs, nulls)}, "nulls": nulls}


def _pages(pages: Sequence[Page]) -> dict[str, Any]:
    scores: defaultdict[str, list[float]] = defaultdict(list)
    code, rows = Structure(), Structure()
    seconds = 0.0
    rejected = 0
    if pages:
        extract(pages[0].html, pages[0].url)  # the first call reads the model
    for page in pages:
        started = time.process_time()
        found = extract(page.html, page.url)
        seconds += time.process_time() - started
        rejected += bool(found.problem)
        scores[page.kind].append(word_f1(plain_text(found.blocks), page.text))
        code += code_found(page.code, [block.text for block in found.blocks if block.kind == "code"])
        rows += rows_found(page.rows, [row for block in found.blocks for row in block.rows])
    return {
        "f1": _mean([score for of_kind in scores.values() for score in of_kind]),
        **{f"f1_{kind}": _mean(of_kind) for kind, of_kind in sorted(scores.items())},
        "code_verbatim": code.share,
        "code_blocks": code.wanted,
        "table_rows": rows.share,
        "gold_rows": rows.wanted,
        "docs_per_s_core": len(pages) / seconds if seconds else None,
        "rejected": rejected,
    }


def _pairs(pairs: Sequence[Pair]) -> dict[str, Any]:
    scores: list[float] = []
    code, rows, headings = Structure(), Structure(), Structure()
    for pair in pairs:
        found = extract(pair.html, pair.url)
        scores.append(word_f1(plain_text(found.blocks), pair.text))
        code += code_found(pair.code, [block.text for block in found.blocks if block.kind == "code"])
        rows += rows_found(pair.rows, [row for block in found.blocks for row in block.rows])
        headings += headings_kept(pair, [(block.level, block.text) for block in found.blocks if block.kind == "heading"])
    return {
        "headings": headings.share,
        "pairs_f1": _mean(scores),
        "pairs_code_verbatim": code.share,
        "pairs_table_rows": rows.share,
    }


def _side(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        name: figures[name]
        for name in ("f1", "f1_forum", "code_verbatim", "table_rows", "pairs_f1", "headings", "docs_per_s_core")
        if name in figures
    }


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
