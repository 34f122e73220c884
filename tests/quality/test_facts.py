"""Layer 3: a claim stands by another page alone, in words that it quotes."""

from typing import Any

import pytest
from checking import CLAIM, OTHER, SHOWN, VIEW, Judge, claims, judged

from castalia.quality.check import Finding
from castalia.quality.checks.claims import claims_flaw
from castalia.quality.checks.facts import FACTS
from castalia.quality.view import view_record
from castalia.records import Document
from small_world import document, evidence, page, replay, reward, sft

ANOTHER = "Green tea steeps at eighty degrees."


def entry(verdict: str, claim: str = CLAIM, words: str = "two minutes") -> dict[str, Any]:
    return {"claim": claim, "verdict": verdict, "passages": SHOWN if words else [], "quotes": [words] if words else []}


def on_facts(*entries: dict[str, Any], documents: tuple[Document, ...] = (document(), OTHER)) -> Finding:
    judge = Judge({"records": [{"record": VIEW.label, "claims": list(entries)}]})
    return judged(FACTS, [VIEW], judge, documents=documents)[VIEW.label]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (claims(("supported", SHOWN), ("supported", SHOWN)), "pass"),
        (claims(("supported", SHOWN), ("refuted", SHOWN)), "fail"),
        (claims(("refuted", [])), "abstain"),
        (claims(("supported", SHOWN), ("not_enough", [])), "flag"),
        (claims(("supported", [])), "flag"),
        (claims(("supported", SHOWN), quotes=()), "flag"),
        (claims(("supported", SHOWN), quotes=("",)), "abstain"),
        (claims(("supported", SHOWN), quotes=("three minutes",)), "abstain"),
        (claims(("supported", SHOWN), quotes=("two minutes", "three minutes")), "abstain"),
        (claims(("refuted", SHOWN), quotes=()), "abstain"),
        (claims(("supported", ["other.html:7"])), "abstain"),
        (claims(("supported", ["brew.html:1"])), "abstain"),  # its own page is no independent source
        (claims(), "abstain"),
        ({"records": []}, "abstain"),
        ({"records": claims(("refuted", SHOWN))["records"] + claims(("supported", SHOWN))["records"]}, "abstain"),
    ],
)
def test_facts_pass_only_where_another_page_supports_every_claim(answer: Any, outcome: str):
    assert judged(FACTS, [VIEW], Judge(answer), documents=(document(), OTHER))[VIEW.label].outcome == outcome


@pytest.mark.parametrize("claim", ["Elephants sleep standing up most nights.", "It is so.", "!", "", f"{CLAIM} " * 20])
def test_true_words_of_a_source_let_no_record_through_for_a_claim_that_it_does_not_make(claim: str):
    assert on_facts(entry("supported")).outcome == "pass"
    found = on_facts(entry("supported"), entry("supported", claim))
    assert found.outcome == "abstain"


@pytest.mark.parametrize(
    ("question", "answer", "claim", "made"),
    [
        (
            "Which tag is rendered at once, <%def> or <%block>?",
            "<%block>",
            "A block is defined and invoked at once, a def in two places.",
            True,
        ),
        ("Which uri does get_namespace load?", "/shop/parts.html", "A relative uri is resolved against that of the namespace.", True),
        ("Decode from UTF-8: which argument?", "default_filters=['decode.utf8']", "A decode filter can take the place of str.", True),
        ("绿茶要泡多久？", "两分钟。", "绿茶应当泡两分钟。", True),
        ("绿茶要泡多久？", "两分钟。", "大象通常站着睡觉。", False),
        ("How long does it take?", "That is for you to say.", "That is how it is.", False),
        ("How long is it?", "Two.", "Elephants sleep for two hours in the wild.", False),
    ],
)
def test_a_claim_is_of_a_record_that_shares_words_with_it_in_any_form(question: str, answer: str, claim: str, made: bool):
    assert (claims_flaw([claim], view_record(sft(question=question, answer=answer), "sft")) == "") == made


@pytest.mark.parametrize(
    ("entries", "outcome"),
    [
        ([entry("refuted", words="")], "abstain"),
        ([entry("supported"), entry("refuted", words="")], "abstain"),  # of one claim
        ([entry("supported"), entry("refuted", ANOTHER, words="")], "abstain"),
        ([entry("refuted"), entry("refuted", ANOTHER, words="")], "fail"),
        ([entry("refuted"), entry("refuted", words="")], "fail"),
    ],
)
def test_a_claim_is_refuted_by_words_of_its_own(entries: list[Any], outcome: str):
    assert on_facts(*entries).outcome == outcome


def test_words_that_make_one_claim_disputed_do_not_stand_for_the_refutation_of_another():
    third = document(page("third.html"), ("Third", "Green tea is not to be steeped for two minutes: the brewers of Osaka give it five."))
    denied = {"claim": CLAIM, "verdict": "refuted", "passages": ["third.html:1"], "quotes": ["the brewers of Osaka give it five"]}
    documents = (document(), OTHER, third)
    assert on_facts(entry("supported"), denied, documents=documents).outcome == "flag"
    assert on_facts(entry("supported"), denied, entry("refuted", ANOTHER, words=""), documents=documents).outcome == "abstain"


def test_a_verdict_on_facts_carries_the_words_and_where_they_stand():
    found = judged(FACTS, [VIEW], Judge(claims(("supported", SHOWN))), documents=(document(), OTHER))[VIEW.label]
    assert found.quotes == ("other.html:1: two  minutes",)


def test_words_of_the_cited_page_support_nothing_even_beside_another_page():
    second = view_record(reward(2, evidence=(evidence(OTHER),)), "rewards")
    answer = claims(("supported", ["brew.html:1", "other.html:1"]), record=VIEW.label, quotes=("eighty degrees",))
    found = judged(FACTS, [VIEW, second], Judge(answer), documents=(document(), OTHER))
    assert found[VIEW.label].outcome == "flag"


def test_each_record_of_a_group_is_held_against_the_pages_that_it_does_not_cite_itself():
    on_brew, on_other = reward(1), reward(2, evidence=(evidence(OTHER),))
    views = [view_record(record, "rewards") for record in (on_brew, on_other)]
    answer = {"records": [claims(("supported", ["other.html:1"]), record=view.label)["records"][0] for view in views]}
    judge = Judge(answer)
    found = judged(FACTS, views, judge, documents=(document(), OTHER))
    assert [found[view.label].outcome for view in views] == ["pass", "flag"]  # the second cites that very page
    listed = [line.partition(": ")[2] for line in judge.shown[0].splitlines() if line.startswith("Passages from other pages: ")]
    assert "other.html:1" in listed[0]
    assert listed[1].split(", ") == ["brew.html:1", "brew.html:2"]


def test_a_page_that_copies_the_cited_block_supports_nothing():
    copy = document(page("copy.html"), ("Copy", "  Steep GREEN tea for two minutes at eighty degrees"))
    answer = claims(("supported", ["copy.html:1"]))
    assert judged(FACTS, [VIEW], Judge(answer), documents=(document(), copy))[VIEW.label].outcome == "flag"
    answer = claims(("supported", ["copy.html:1", "other.html:1"]))
    assert judged(FACTS, [VIEW], Judge(answer), documents=(document(), copy, OTHER))[VIEW.label].outcome == "pass"


def test_a_page_is_asked_for_passages_only_where_it_shares_words_with_the_record():
    coffee = document(page("coffee.html"), ("Coffee", "Grind beans coarsely before pouring water slowly over filter paper."))
    assert judged(FACTS, [VIEW], Judge(error=AssertionError("asked")), documents=(document(), coffee))[VIEW.label].outcome == "flag"


def test_without_another_source_nobody_is_asked_and_the_record_is_flagged():
    judge = Judge(error=AssertionError("asked"))
    assert judged(FACTS, [VIEW], judge)[VIEW.label].outcome == "flag"
    assert judge.shown == []


def test_facts_are_for_knowledge_and_procedures_only():
    applied = {category: FACTS.applies(view_record(sft(category=category), "sft")) for category in ("knowledge", "procedural", "skills")}
    assert applied == {"knowledge": True, "procedural": True, "skills": False}
    assert not FACTS.applies(view_record(replay(), "replay"))
