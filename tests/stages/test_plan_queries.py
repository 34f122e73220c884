import pytest
from asked import DictOracle, node, reasons, run
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.errors import BudgetReached
from castalia.stages.plan_queries import STAGE, Cell, acquisition_specification, next_example_gaps, next_gaps, specification_page
from castalia.web.licences import Policy
from castalia.web.search.openly_licensed import open_first

SITE = "https://docs.example.org/"
NODES = [node("skills/write"), node("knowledge/filters")]
PARAMS = {"domain": "templates", "sites": (SITE,), "per_node": 2, "max_reviews": 2}
NO_GAPS = {"gaps": [], "queries": []}


def query(key: str, text: str, wanted: str = "tutorial", **changes):
    return {"node": key, "text": text, "wanted": wanted} | changes


def plan(skills=(), knowledge=(), reviews=(NO_GAPS,), collected=(), gaps=(), examples=(), example_gaps=(), **params):
    answers = {
        ("plan_queries_skills", "skills"): {"queries": list(skills)},
        ("plan_queries_knowledge", "knowledge"): {"queries": list(knowledge)},
    }
    answers |= {("review_coverage", f"review/{n}"): review for n, review in enumerate(reviews, 1)}
    answers |= {("review_collected", f"collected/{n}"): review for n, review in enumerate(collected, 1)}
    answers |= {("review_examples", f"examples/{n}"): review for n, review in enumerate(examples, 1)}
    oracle = DictOracle(answers)
    queries, rejects = run(STAGE, {"taxonomy": NODES, "gaps": gaps, "example_gaps": example_gaps}, oracle, params=PARAMS | params)
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
    assert [q.text for q in queries if q.provenance.calls] == ["Same  words", "second"]
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
    assert [q.text for q in queries if q.provenance.calls] == ["q0", "q1"]
    assert [reason for _, reason in reasons(rejects)] == ["too-many-queries"]
    assert len(oracle.asked) == 3


def test_a_query_for_other_difficulty_fills_a_new_cell_and_other_words_alone_do_not():
    harder = {"queries": [query("skills/write", "b", difficulty="hard")]}
    same_style = {"queries": [query("skills/write", "c", "worked-example", difficulty="hard")]}
    oracle, _, _ = plan([query("skills/write", "a")], reviews=(harder, same_style, harder), max_reviews=5)
    assert [subject for _, prompt, subject in oracle.asked if prompt == "review_coverage"] == ["review/1", "review/2"]
    assert "| skills/write | 1 medium, 1 hard |" in oracle.texts["review_coverage", "review/2"]


def test_a_node_that_nobody_searches_for_gets_the_queries_of_the_templates():
    _, queries, _ = plan([query("skills/write", "a")])
    filled = [q for q in queries if q.node == "knowledge/filters"]
    assert [(q.wanted, q.difficulty, q.text) for q in filled] == [
        ("reference", "medium", "templates Title of knowledge/filters reference"),
        ("definition", "easy", "templates Title of knowledge/filters definition"),
        ("specification", "hard", "templates Title of knowledge/filters specification"),
    ]
    assert all(q.provenance.parents == (NODES[1].id,) and not q.provenance.calls for q in filled)


WRITTEN = st.builds(
    query,
    st.sampled_from(["skills/write", "knowledge/filters", "skills/none"]),
    st.sampled_from(["a", "A", " a ", "b", "c d", "", "templates Title of knowledge/filters reference"]),
    st.sampled_from(["tutorial", "reference", "dialogue"]),
    site=st.sampled_from([None, SITE, "https://elsewhere.org/"]),
    difficulty=st.sampled_from(["easy", "medium", "hard"]),
)


@settings(max_examples=60, deadline=None)
@given(first=st.lists(WRITTEN, max_size=6), later=st.lists(st.lists(WRITTEN, max_size=5), max_size=6), most=st.integers(0, 6))
def test_whatever_is_answered_the_reviews_end_and_no_query_is_asked_twice(first: list, later: list, most: int):
    reviews = [{"queries": queries} for queries in [*later, *[[]] * (most + 1)]]
    oracle, queries, _ = plan(first, reviews=reviews, max_reviews=most)
    asked = [subject for _, prompt, subject in oracle.asked if prompt == "review_coverage"]
    assert asked == [f"review/{number}" for number in range(1, len(asked) + 1)]
    assert len(asked) <= most
    identities = [(tuple(q.text.casefold().split()), q.site) for q in queries]
    assert len(identities) == len(set(identities))
    assert {q.node for q in queries} == {node.key for node in NODES}


class Broke(DictOracle):
    """Reaches its budget at the review."""

    async def ask(self, role, system, user, answer, *, task, sample=0):
        if task.prompt == "review_coverage":
            raise BudgetReached("the next call could exceed the budget")
        return await super().ask(role, system, user, answer, task=task, sample=sample)


def test_a_budget_that_is_reached_stops_the_planning_and_is_not_taken_for_an_answer():
    answers = {("plan_queries_skills", "skills"): {"queries": []}, ("plan_queries_knowledge", "knowledge"): {"queries": []}}
    with pytest.raises(BudgetReached):
        run(STAGE, {"taxonomy": NODES, "gaps": (), "example_gaps": ()}, Broke(answers), params=PARAMS)


ASKED = ([query("skills/write", "write a template")], [query("knowledge/filters", "filter reference", "reference")])
OTHERWISE = {"gaps": ["nothing on filters"], "queries": [query("knowledge/filters", "escape functions list", "reference")]}


def led_by(*queries):
    """What a page says that these queries led to, for each a page."""
    return [(one.id,) for one in queries]


def test_cells_without_a_kept_page_are_handed_back_and_a_review_searches_for_them_otherwise():
    _, first, _ = plan(*ASKED)
    gaps = next_gaps(first, [], led_by(first[0]), max_rounds=2)
    assert [(gap.round, gap.node, gap.style, gap.difficulty) for gap in gaps or ()] == [(1, "knowledge/filters", "reference", "medium")]
    oracle, second, rejects = plan(*ASKED, collected=(OTHERWISE,), gaps=gaps)
    assert [(q.text, q.round) for q in second] == [("write a template", 0), ("filter reference", 0), ("escape functions list", 1)]
    assert rejects == []
    told = oracle.texts["review_collected", "collected/1"]
    assert "knowledge/filters, reference (reference, definition, specification), medium" in told
    assert "searched for: filter reference" in told
    assert "write a template" not in told


def test_the_specification_says_which_searches_came_after_a_collection():
    _, first, _ = plan(*ASKED)
    _, second, _ = plan(*ASKED, collected=(OTHERWISE,), gaps=next_gaps(first, [], led_by(first[0]), max_rounds=2) or [])
    page = specification_page(acquisition_specification(NODES, second))
    assert "- **reference** (en, medium, anywhere): escape functions list (after collection 1)" in page
    assert "- **reference** (en, medium, anywhere): filter reference\n" in page


def test_reviews_of_the_collection_end_when_nothing_is_missing_a_round_filled_nothing_or_at_the_cap():
    _, first, _ = plan(*ASKED)
    gaps = next_gaps(first, [], led_by(first[0]), max_rounds=2) or []
    _, second, _ = plan(*ASKED, collected=(OTHERWISE,), gaps=gaps)
    assert next_gaps(first, [], led_by(*first), max_rounds=2) is None
    assert next_gaps(first, [], [], max_rounds=0) is None
    assert next_gaps(second, gaps, led_by(first[0]), max_rounds=2) is None  # the round filled nothing
    assert next_gaps(second, gaps, led_by(first[0], second[2]), max_rounds=2) is None  # nothing is missing
    both = next_gaps(first, [], [], max_rounds=2) or []
    _, refilled, _ = plan(*ASKED, collected=(OTHERWISE,), gaps=both)
    more = next_gaps(refilled, both, led_by(refilled[2]), max_rounds=2) or []
    assert [(gap.round, gap.node) for gap in more] == [(1, "knowledge/filters"), (1, "skills/write"), (2, "skills/write")]
    assert next_gaps(refilled, both, led_by(refilled[2]), max_rounds=1) is None


def test_a_review_of_the_collection_without_anything_new_is_the_last_one():
    _, first, _ = plan(*ASKED)
    gaps = next_gaps(first, [], [], max_rounds=3) or []
    _, again, _ = plan(*ASKED, collected=(NO_GAPS,), gaps=gaps)
    assert again == first
    assert next_gaps(again, gaps, [], max_rounds=3) is None


def test_gaps_of_another_plan_are_not_asked_about():
    _, first, _ = plan(*ASKED)
    gaps = next_gaps(first, [], [], max_rounds=2) or []
    oracle, _, _ = plan([query("skills/write", "something else")], ASKED[1], gaps=gaps)
    assert "review_collected" not in {prompt for _, prompt, _ in oracle.asked}


def test_a_review_of_the_collection_searches_for_the_nodes_with_gaps_only():
    _, first, _ = plan(*ASKED)
    gaps = next_gaps(first, [], led_by(first[0]), max_rounds=2) or []
    review = {"queries": [query("skills/write", "more lessons"), query("knowledge/filters", "Filter  reference", "reference")]}
    _, queries, rejects = plan(*ASKED, collected=(review,), gaps=gaps)
    assert [q.round for q in queries] == [0, 0]
    assert {reason for _, reason in reasons(rejects)} == {"node-without-gap", "duplicate-query"}


def test_the_specification_names_facets_hosts_coverage_and_what_was_collected():
    _, queries, _ = plan([query("skills/write", "write a template", site=SITE, difficulty="easy")])
    mine = [q for q in queries if q.provenance.calls]
    specification = acquisition_specification(NODES, mine, collected={"skills/write": 7})
    assert specification["coverage"] == {"skills/write": {"lesson": {"easy": 1}}, "knowledge/filters": {}}
    assert specification["uncovered"] == ["knowledge/filters"]
    assert specification["facets"]["difficulty"] == {"easy": 1, "medium": 0, "hard": 0}
    assert specification["hosts"][0] == {"host": SITE, "given": True, "usual_licence": None}
    assert "docs.python.org" in {host["host"] for host in specification["hosts"]}
    assert "ocw.mit.edu" not in {host["host"] for host in specification["hosts"]}  # its usual licence is not permissive
    page = specification_page(specification)
    assert "## skills/write: Title of skills/write" in page
    assert f"- **tutorial** (en, easy, {SITE}): write a template" in page
    assert "Collected: 7 pages." in page
    assert "Not covered: knowledge/filters." in page
    assert "`{domain} {title} tutorial`" in page


def test_hits_on_openly_licensed_hosts_come_first_and_the_rest_keep_their_order():
    urls = ["https://b.example/", "https://en.wikipedia.org/wiki/X", "https://a.example/", "https://docs.python.org/3/"]
    assert open_first(urls, Policy.named("permissive")) == [urls[3], urls[0], urls[1], urls[2]]
    assert open_first(urls, Policy.named(["CC-BY-SA-4.0"]))[0] == urls[1]


THIN = {Cell("knowledge/filters", "hard", "reference"): (1, 5)}


def test_cells_with_too_few_examples_are_handed_back_and_a_review_searches_for_pages_to_make_more_from():
    _, first, _ = plan(*ASKED)
    gaps = next_example_gaps(first, [], THIN, max_rounds=1) or []
    assert [(gap.round, gap.node, gap.difficulty, gap.examples, gap.wanted) for gap in gaps] == [(1, "knowledge/filters", "hard", 1, 5)]
    other_node = query("skills/write", "templates once more")
    review = {"gaps": [], "queries": [*OTHERWISE["queries"], other_node]}
    oracle, second, rejects = plan(*ASKED, examples=(review,), example_gaps=gaps, max_example_reviews=1)
    assert [(q.text, q.round) for q in second if q.round] == [("escape functions list", 1)]
    assert [(reject.reason, reject.subject) for reject in rejects] == [("node-without-gap", "templates once more")]
    told = oracle.texts["review_examples", "examples/1"]
    assert "knowledge/filters, reference (reference, definition, specification), hard: 1 of 5 examples." in told


def test_searches_for_missing_pages_and_for_missing_examples_take_turns_in_rounds_of_their_own():
    _, first, _ = plan(*ASKED)
    pages = next_gaps(first, [], led_by(first[0]), max_rounds=1)
    _, second, _ = plan(*ASKED, collected=(OTHERWISE,), gaps=pages)
    gaps = next_example_gaps(second, [], THIN, max_rounds=1) or []
    assert [gap.round for gap in gaps] == [2]
    more = {"gaps": [], "queries": [query("knowledge/filters", "filter internals", "reference")]}
    _, third, _ = plan(
        *ASKED,
        collected=(OTHERWISE,),
        gaps=pages,
        examples=(NO_GAPS, more),
        example_gaps=gaps,
        max_collected_reviews=1,
        max_example_reviews=1,
    )
    assert [(q.text, q.round) for q in third if q.round] == [("escape functions list", 1), ("filter internals", 2)]


def test_reviews_of_examples_end_when_none_is_missing_a_round_brought_none_or_at_the_cap():
    _, first, _ = plan(*ASKED)
    gaps = next_example_gaps(first, [], THIN, max_rounds=2) or []
    assert next_example_gaps(first, [], {}, max_rounds=2) is None
    assert next_example_gaps(first, [], THIN, max_rounds=0) is None
    assert next_example_gaps(first, gaps, THIN, max_rounds=2) is None  # the review had nothing new to search for
    _, second, _ = plan(*ASKED, examples=(OTHERWISE,), example_gaps=gaps, max_example_reviews=2)
    assert next_example_gaps(second, gaps, THIN, max_rounds=2) is None  # the round brought none
    gained = {Cell("knowledge/filters", "hard", "reference"): (3, 5)}
    again = next_example_gaps(second, gaps, gained, max_rounds=2) or []
    assert [(gap.round, gap.examples) for gap in again] == [(1, 1), (2, 3)]
    assert next_example_gaps(second, gaps, gained, max_rounds=1) is None
