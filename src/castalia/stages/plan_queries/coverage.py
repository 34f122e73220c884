"""What the planned queries cover: cells of category x part of the domain x difficulty x style.

A taxonomy node stands for its category and its part of the domain; the style follows from the wanted kind of page.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, get_args

from castalia.records import CATEGORIES, Difficulty, Query, TaxonomyNode
from castalia.records.web import Wanted

KINDS: tuple[Wanted, ...] = get_args(Wanted)
DIFFICULTIES: tuple[Difficulty, ...] = get_args(Difficulty)
STYLES: Mapping[str, tuple[Wanted, ...]] = {
    "reference": ("reference", "definition", "specification"),
    "lesson": ("tutorial", "worked-example"),
    "source": ("repository",),
    "rules": ("policy",),
    "discussion": ("dialogue",),
    "procedure": ("sop", "runbook"),
    "trace": ("agent-trace",),
}
_STYLE_OF: Mapping[Wanted, str] = {kind: style for style, kinds in STYLES.items() for kind in kinds}


class Cell(NamedTuple):
    """One cell."""

    node: str
    difficulty: Difficulty
    style: str


def cell(query: Query) -> Cell:
    """The cell that a query fills."""
    return Cell(query.node, query.difficulty, _STYLE_OF[query.wanted])


def coverage(nodes: Sequence[TaxonomyNode], queries: Sequence[Query]) -> dict[str, dict[str, dict[str, int]]]:
    """Queries by node, style and difficulty; what nobody asks for is left out, a node without queries is empty."""
    counts = Counter(cell(query) for query in queries)
    return {
        node.key: {
            style: found
            for style in STYLES
            if (found := {level: count for level in DIFFICULTIES if (count := counts[Cell(node.key, level, style)])})
        }
        for node in sorted(nodes, key=by_category)
    }


def coverage_table(nodes: Sequence[TaxonomyNode], queries: Sequence[Query]) -> str:
    """The coverage as a Markdown table: a row per node, a column per style that is asked for at all, difficulties in the cells."""
    covered = coverage(nodes, queries)
    styles = [style for style in STYLES if any(style in row for row in covered.values())]
    rows = [["node", *styles], ["---", *["---"] * len(styles)]]
    rows += [[key, *(_in_words(row.get(style, {})) for style in styles)] for key, row in covered.items()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def by_category(node: TaxonomyNode) -> tuple[int, str]:
    """Nodes in the order of the categories."""
    return CATEGORIES.index(node.category), node.key


def _in_words(levels: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {level}" for level, count in levels.items())
