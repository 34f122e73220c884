from asked import DictOracle, node, reasons, run

from castalia.stages.plan_queries import STAGE, acquisition_specification, specification_page

SITE = "https://docs.example.org/"
NODES = [node("skills/write"), node("knowledge/filters")]
PARAMS = {"domain": "templates", "sites": (SITE,), "per_node": 2, "max_reviews": 2}
NO_GAPS = {"gaps": [], "queries": []}


def query(key: str, text: str, wanted: str = "tutorial", **changes):
    return {"node": key, "text": text, "wanted": wanted} | changes


def plan(skills=(), knowledge=(), reviews=(NO_GAPS,), **params):
    answers = {
        ("plan_queries_skills", "skills"): {"queries": list(skills)},
        ("plan_queries_knowledge", "knowledge"): {"queries": list(knowledge)},
    }
    answers |= {("review_coverage", f"review/{n}"): review for n, review in enumerate(reviews, 1)}
    oracle = DictOracle(answers)
    queries, rejects = run(STAGE, {"taxonomy": NODES}, oracle, params=PARAMS | params)
    return oracle, queries, rejects


def test_only_categories_that_have_nodes_are_asked_and_queries_know_node_and_call():
    oracle, queries, rejects = plan(
        [query("skills/write", "write a template", site=SITE)], [query("knowledge/filters", "filter reference", "reference")]
    )
    assert [(role, prompt) for role, prompt, _ in oracle.asked] == [
        ("writer", "plan_queries_skills"), ("writer", "plan_queries_knowledge"), ("writer", "review_coverage"),
    ]  # fmt: skip
    assert [(q.node, q.category, q.site) for q in queries] == [("skills/write", "skills", SITE), ("knowledge/filters", "knowledge", None)]
    assert queries[0].provenance.parents == (NODES[0].id,)
    assert rejects == []


def test_queries_for_unknown_nodes_other_categories_foreign_sites_and_repeats_are_rejects():
    _, queries, rejects = plan([
        query("skills/none", "a"), query("knowledge/filters", "b"), query("skills/write", "c", site="https://elsewhere.org/"),
        query("skills/write", "Same  words"), query("skills/write", "same words"), query("skills/write", " "),
        query("skills/write", "second"), query("skills/write", "third"),
    ])  # fmt: skip
    assert [q.text for q in queries] == ["Same  words", "second"]
    assert [reason for _, reason in reasons(rejects)] == [
        "unknown-node", "node-of-other-category", "site-not-given", "duplicate-query", "empty-query", "too-many-queries",
    ]  # fmt: skip


def test_a_review_that_fills_a_new_cell_is_followed_by_another_until_none_does():
    first = {"gaps": ["no reference"], "queries": [query("knowledge/filters", "list of filters", "reference")]}
    second = {"gaps": [], "queries": [query("knowledge/filters", "more of the same", "reference")]}
    oracle, queries, _ = plan([query("skills/write", "a")], reviews=(first, second, first), max_reviews=5)
    assert [subject for _, prompt, subject in oracle.asked if prompt == "review_coverage"] == ["review/1", "review/2"]
    assert [q.text for q in queries] == ["a", "list of filters", "more of the same"]
    assert "| knowledge/filters |" in oracle.texts["review_coverage", "review/1"]


def test_reviews_end_at_their_limit_and_each_adds_at_most_its_share():
    review = {"queries": [query("knowledge/filters", f"q{n}", "reference") for n in range(3)]}
    oracle, queries, rejects = plan(reviews=(review,), max_reviews=1, per_review=2)
    assert [q.text for q in queries] == ["q0", "q1"]
    assert [reason for _, reason in reasons(rejects)] == ["too-many-queries"]
    assert len(oracle.asked) == 3


def test_the_specification_names_coverage_and_what_is_not_covered():
    _, queries, _ = plan([query("skills/write", "write a template", site=SITE)])
    specification = acquisition_specification(NODES, queries)
    assert specification["coverage"] == {"skills/write": {"tutorial": 1}, "knowledge/filters": {}}
    assert specification["uncovered"] == ["knowledge/filters"]
    assert specification["sites"] == [SITE]
    page = specification_page(specification)
    assert "## skills/write: Title of skills/write" in page
    assert f"- **tutorial** (en, {SITE}): write a template" in page
    assert "Not covered: knowledge/filters." in page
