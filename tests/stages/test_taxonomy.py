from asked import DictOracle, reasons, run

from castalia.stages.taxonomy import STAGE

PARAMS = {"domain": "the Mako template engine", "nodes_per_category": 1}


def written(category: str, slug: str, **changes):
    return {"category": category, "slug": slug, "title": "T", "description": "D", "abilities": ["a"]} | changes


def asked(*nodes) -> DictOracle:
    return DictOracle({("taxonomy", "taxonomy"): {"nodes": list(nodes)}})


def test_nodes_of_all_categories_become_records_that_know_their_call():
    oracle = asked(*(written(c, "one") for c in ("behavioral", "skills", "knowledge", "procedural")))
    nodes, rejects = run(STAGE, {}, oracle, params=PARAMS)
    assert [node.key for node in nodes] == ["behavioral/one", "skills/one", "knowledge/one", "procedural/one"]
    assert rejects == []
    assert nodes[0].provenance.calls == ("call:taxonomy:taxonomy",)
    assert "the Mako template engine" in oracle.texts["taxonomy", "taxonomy"]


def test_malformed_double_and_surplus_nodes_and_empty_categories_are_rejects():
    oracle = asked(
        written("skills", "Not A Slug"), written("skills", "a"), written("skills", "a"), written("skills", "b"),
        written("knowledge", "k", abilities=[" "]), written("behavioral", "ok"),
    )  # fmt: skip
    nodes, rejects = run(STAGE, {}, oracle, params=PARAMS)
    assert [node.key for node in nodes] == ["skills/a", "behavioral/ok"]
    assert reasons(rejects) == [
        ("skills/Not A Slug", "malformed-slug"), ("skills/a", "duplicate-node"), ("skills/b", "too-many-nodes"),
        ("knowledge/k", "empty-node"), ("knowledge", "category-empty"), ("procedural", "category-empty"),
    ]  # fmt: skip


def test_an_unusable_answer_is_a_reject_and_no_crash():
    nodes, rejects = run(STAGE, {}, DictOracle({("taxonomy", "taxonomy"): {"nodes": [{"slug": 3}]}}), params=PARAMS)
    assert nodes == []
    assert reasons(rejects) == [("taxonomy", "answer-unusable")]
    assert rejects[0].provenance.calls == ("call:taxonomy:taxonomy",)
