"""The web acquisition specification: what is searched for, for which capability, and what is not covered."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from castalia.records import CATEGORIES, Query, TaxonomyNode
from castalia.records.web import Wanted

KINDS: tuple[Wanted, ...] = get_args(Wanted)


def coverage(nodes: Sequence[TaxonomyNode], queries: Sequence[Query]) -> dict[str, dict[str, int]]:
    """How many queries ask for each wanted kind of page, by node key; kinds nobody asks for are left out."""
    counts = {node.key: Counter[str]() for node in sorted(nodes, key=_by_category)}
    for query in queries:
        if query.node in counts:
            counts[query.node][query.wanted] += 1
    return {key: {kind: count[kind] for kind in KINDS if count[kind]} for key, count in counts.items()}


def coverage_table(nodes: Sequence[TaxonomyNode], queries: Sequence[Query]) -> str:
    """The coverage as a Markdown table: a row per node, a column per kind that is asked for at all."""
    covered = coverage(nodes, queries)
    kinds = [kind for kind in KINDS if any(kind in row for row in covered.values())]
    rows = [["node", *kinds], ["---", *["---:"] * len(kinds)]]
    rows += [[key, *(str(row.get(kind, "")) for kind in kinds)] for key, row in covered.items()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def acquisition_specification(nodes: Sequence[TaxonomyNode], queries: Sequence[Query]) -> dict[str, Any]:
    """The specification as plain JSON: sites, languages, nodes with their queries, coverage, and what is not covered."""
    covered = coverage(nodes, queries)
    return {
        "sites": sorted({query.site for query in queries if query.site}),
        "languages": sorted({query.language for query in queries}),
        "wanted": {kind: n for kind in KINDS if (n := sum(query.wanted == kind for query in queries))},
        "nodes": [_node(node, queries) for node in sorted(nodes, key=_by_category)],
        "coverage": covered,
        "uncovered": [key for key, row in covered.items() if not row],
    }


def specification_page(specification: Mapping[str, Any]) -> str:
    """The specification as a readable Markdown page."""
    lines = ["# Web acquisition specification", ""]
    lines += [f"Sites: {', '.join(specification['sites']) or 'any'}. Languages: {', '.join(specification['languages']) or 'none'}."]
    lines += [f"Not covered: {', '.join(specification['uncovered']) or 'nothing'}.", ""]
    for node in specification["nodes"]:
        lines += [f"## {node['key']}: {node['title']}", "", node["description"], ""]
        lines += [
            f"- **{query['wanted']}** ({query['language']}, {query['site'] or 'anywhere'}): {query['text']}" for query in node["queries"]
        ]
        lines += [""]
    return "\n".join(lines)


def _node(node: TaxonomyNode, queries: Sequence[Query]) -> dict[str, Any]:
    mine = sorted((query for query in queries if query.node == node.key), key=lambda query: (KINDS.index(query.wanted), query.text))
    return {
        **node.model_dump(mode="json", include={"key", "category", "title", "description", "abilities"}),
        "queries": [query.model_dump(mode="json", include={"text", "wanted", "site", "language"}) for query in mine],
    }


def _by_category(node: TaxonomyNode) -> tuple[int, str]:
    return CATEGORIES.index(node.category), node.key
