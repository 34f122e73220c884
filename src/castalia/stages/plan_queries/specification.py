"""The web acquisition specification: what is searched for, where, for which capability, and what is not covered."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from castalia.records import CATEGORIES, Query, TaxonomyNode
from castalia.stages.plan_queries.coverage import DIFFICULTIES, KINDS, STYLES, by_category, cell, coverage, coverage_table
from castalia.stages.plan_queries.templates import templates
from castalia.web.licences import Policy
from castalia.web.search.openly_licensed import open_hosts


def acquisition_specification(
    nodes: Sequence[TaxonomyNode],
    queries: Sequence[Query],
    *,
    licences: str | Sequence[str] = "permissive",
    collected: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The specification as plain JSON. `collected` counts pages by node, once there are any.

    Hosts come in the order in which they are asked: sites that were given, then hosts that usually publish under a licence of the
    policy. `coverage` is what the queries are expected to bring, by node, style and difficulty.
    """
    covered = coverage(nodes, queries)
    sites = sorted({query.site for query in queries if query.site})
    return {
        "sites": sites,
        "hosts": [
            *({"host": site, "given": True, "usual_licence": None} for site in sites),
            *({"host": known.host, "given": False, "usual_licence": known.spdx} for known in open_hosts(Policy.named(licences))),
        ],
        "languages": sorted({query.language for query in queries}),
        "wanted": {kind: n for kind in KINDS if (n := sum(query.wanted == kind for query in queries))},
        "facets": _facets(nodes, queries),
        "templates": {category: [template.model_dump() for template in templates(category)] for category in CATEGORIES},
        "nodes": [_node(node, queries, collected) for node in sorted(nodes, key=by_category)],
        "coverage": covered,
        "coverage_table": coverage_table(nodes, queries),
        "uncovered": [key for key, row in covered.items() if not row],
    }


def specification_page(specification: Mapping[str, Any]) -> str:
    """The specification as a readable Markdown page."""
    lines = ["# Web acquisition specification", ""]
    lines += [f"Sites: {', '.join(specification['sites']) or 'any'}. Languages: {', '.join(specification['languages']) or 'none'}."]
    lines += [f"Not covered: {', '.join(specification['uncovered']) or 'nothing'}.", ""]
    lines += ["## Expected coverage", "", "Queries by part of the domain, style and difficulty.", "", specification["coverage_table"], ""]
    lines += ["## Facets", ""]
    for facet, counts in specification["facets"].items():
        lines += [f"- {facet}: " + ", ".join(f"{value} {count}" for value, count in counts.items())]
    known = ", ".join(f"{host['host']} ({host['usual_licence']})" for host in specification["hosts"] if not host["given"])
    lines += ["", "## Hosts", "", f"The given sites first, then hosts that usually publish under an allowed licence: {known}.", ""]
    for node in specification["nodes"]:
        lines += [f"## {node['key']}: {node['title']}", "", node["description"], ""]
        lines += [
            f"- **{query['wanted']}** ({query['language']}, {query['difficulty']}, {query['site'] or 'anywhere'}): {query['text']}"
            + (f" (after collection {query['round']})" if query["round"] else "")
            for query in node["queries"]
        ]
        if node["collected"] is not None:
            lines += ["", f"Collected: {node['collected']} pages."]
        lines += [""]
    lines += ["## Query templates", ""]
    for category, listed in specification["templates"].items():
        lines += [f"- {category}: " + "; ".join(f"`{template['words']}` ({template['wanted']})" for template in listed)]
    return "\n".join([*lines, ""])


def _facets(nodes: Sequence[TaxonomyNode], queries: Sequence[Query]) -> dict[str, dict[str, int]]:
    """Queries by each axis of the specification, the empty values of the closed ones included."""
    styles, languages = Counter(cell(query).style for query in queries), Counter(query.language for query in queries)
    return {
        "category": {category: sum(query.category == category for query in queries) for category in CATEGORIES},
        "part of the domain": {node.key: sum(query.node == node.key for query in queries) for node in sorted(nodes, key=by_category)},
        "difficulty": {level: sum(query.difficulty == level for query in queries) for level in DIFFICULTIES},
        "style": {style: styles[style] for style in STYLES},
        "language": dict(sorted(languages.items())),
    }


def _node(node: TaxonomyNode, queries: Sequence[Query], collected: Mapping[str, int] | None) -> dict[str, Any]:
    mine = sorted((query for query in queries if query.node == node.key), key=lambda query: (KINDS.index(query.wanted), query.text))
    return {
        **node.model_dump(mode="json", include={"key", "category", "title", "description", "abilities"}),
        "queries": [query.model_dump(mode="json", include={"text", "wanted", "difficulty", "site", "language", "round"}) for query in mine],
        "collected": None if collected is None else collected.get(node.key, 0),
    }
