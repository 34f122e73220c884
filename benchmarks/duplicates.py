# pyright: basic
"""Duplicates: which extractions of one page are seen as one, what merges wrongly, and what it costs at a hundred thousand documents.

Figures of the labelled pages are those of the held-out half of clusters, compared within that half; `_whole` those of all. A
page of which an extraction holds no word has nothing to compare: `_with_empty` counts such pages as missed.
"""

import gzip
import hashlib
import html
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.duplicates_planted import plant_meanings
from benchmarks.processes import watch
from castalia.records import Block, Document, LicenceDecision, Likeness, Reject
from castalia.stages.deduplicate import STAGE

ALLOWED = LicenceDecision(spdx="MIT", verdict="allowed", reason="by file")


class Page(NamedTuple):
    """An extraction of a labelled page."""

    cluster: str
    document: Document
    held_out: bool


def run(gold: Path | None, quick: bool) -> dict[str, Any]:
    """Measures labelled pages in this process, scale in a child."""
    nulls: dict[str, str] = {}
    figures: dict[str, Any] = {}
    if gold is None or not (gold / "near-duplicates").is_dir():
        nulls["ari"] = "no reference data; name its folder with --gold"
    else:
        every = pages(gold / "near-duplicates")
        filled = [page for page in every if any(block.text.split() for block in page.document.blocks)]
        figures |= agreement([page for page in filled if page.held_out])
        figures |= {f"{name}_whole": value for name, value in agreement(filled).items()}
        figures |= {f"{name}_with_empty": value for name, value in agreement(every).items()}
    licences = gold / "licence" / "spdx-texts" if gold else None
    if licences is None or not licences.is_dir():
        nulls["wrong_merges"] = "no licence texts; name the folder with the reference data with --gold"
    else:
        figures |= wrong_merges(sorted(licences.glob("*.txt")))
    figures |= scale(2_000 if quick else 100_000, nulls)
    figures |= meanings(nulls)
    return {"figures": figures, "nulls": nulls}


def pages(folder: Path) -> list[Page]:
    """The labelled extractions. Their first line, the address of the page, is left out: it would give the answer away."""
    found: list[Page] = []
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                item = json.loads(line)
                text = html.unescape(re.sub(r"</?[a-z]\d?>", " ", re.sub(r"\AURL:.*", "", item["text"])))
                blocks = [part.strip() for part in re.split(r"\n\s*\n", text)]
                document = _document(f"http://{item['source'].lower()}.example/{item['cluster']}", blocks)
                held_out = hashlib.sha256(item["cluster"].encode()).digest()[0] % 2 == 1
                found.append(Page(item["cluster"], document, held_out))
    return found


def agreement(labelled: Sequence[Page]) -> dict[str, float]:
    """Precision and recall of pairs, and the adjusted Rand index (Hubert and Arabie 1985)."""
    by_id = {page.document.id: page for page in labelled}
    families = family_of([page.document for page in labelled])
    ours = {identifier: families[identifier] for identifier in by_id}
    pairs = Counter((page.cluster, ours[identifier]) for identifier, page in by_id.items())
    both = sum(comb(count, 2) for count in pairs.values())
    truth = sum(comb(count, 2) for count in Counter(page.cluster for page in labelled).values())
    found = sum(comb(count, 2) for count in Counter(ours.values()).values())
    expected = truth * found / comb(len(labelled), 2)
    return {
        "ari": (both - expected) / ((truth + found) / 2 - expected),
        "pair_precision": both / found if found else 0.0,
        "pair_recall": both / truth,
    }


def wrong_merges(paths: Sequence[Path]) -> dict[str, int]:
    """Licence texts that were taken for another. All have one title, as pages named "License" do.

    Some names have one text (`GPL-2.0-only` and `GPL-2.0-or-later`): the same words are one text, whatever they are called.
    """
    documents = [
        _document(f"http://h/{path.stem}", [path.read_text(encoding="utf-8", errors="replace")], title="License") for path in paths
    ]
    families = family_of(documents)
    words = {document.id: re.findall(r"\w+", document.blocks[0].text) for document in documents}
    merged = sum(words[keeper] != words[identifier] for identifier, keeper in families.items())
    return {"licence_texts": len(documents), "different_texts": len({tuple(text) for text in words.values()}), "wrong_merges": merged}


def scale(count: int, nulls: dict[str, str]) -> dict[str, Any]:
    """Rate and peak memory of a child process over a stored dataset in which a fifth repeats something."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.duplicates_planted", folder, str(count)]
        made = watch([*command, "make"], Path(folder) / "make.log", limit=1800)
        done = watch([*command, "deduplicate"], Path(folder) / "log", limit=3600)
        if made.code or done.code:
            nulls["docs_per_s"] = f"the child ended with {made.code or done.code}: {(made.output + done.output)[-300:]}"
            return {}
        result = json.loads(done.output.strip().splitlines()[-1])
    return {"documents": count, **result, "peak_mb": done.peak_mb}


def meanings(nulls: dict[str, str]) -> dict[str, Any]:
    """Proposals on planted rewordings: how many are found, and how many proposals are none."""
    documents, pairs = plant_meanings()
    try:
        records = list(_run(documents, {"meaning": "label"}))
    except Exception as error:  # noqa: BLE001 - an embedder that is not installed is the usual reason, and the report says so
        nulls["meaning_recall"] = f"{type(error).__name__}: {error!s:.200}"
        return {}
    proposed = {frozenset((record.document, record.other)) for record in records if isinstance(record, Likeness)}
    right = len(proposed & pairs)
    return {
        "meaning_pairs": len(pairs),
        "meaning_recall": right / len(pairs),
        "meaning_precision": right / len(proposed) if proposed else None,
        "removed_by_meaning": sum(isinstance(record, Reject) for record in records),
    }


def family_of(documents: Sequence[Document]) -> dict[str, str]:
    """Id of the kept document for the id of every document."""
    keeper = {document.id: document.id for document in documents}
    for record in _run(documents, {}):
        if isinstance(record, Reject):
            keeper[record.provenance.parents[0]] = record.detail.split()[1].rstrip(":")

    def root(identifier: str) -> str:
        return identifier if keeper[identifier] == identifier else root(keeper[identifier])

    return {identifier: root(identifier) for identifier in keeper}


def _run(documents: Sequence[Document], params: Mapping[str, Any]) -> Iterable[Any]:
    return STAGE.run({"documents_scrubbed": sorted(documents, key=lambda item: item.id)}, STAGE.params(**params), None)


def _document(url: str, blocks: Sequence[str], *, title: str = "") -> Document:
    kept = [text for text in blocks if text]
    numbered = tuple(Block(number=number, kind="paragraph", text=text) for number, text in enumerate(kept))
    return Document(url=url, title=title, blocks=numbered, licence=ALLOWED)
