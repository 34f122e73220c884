import random

import pytest
from asked import DOUBLES, DictOracle, GradingSandbox, code, example, reasons, run
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.engine.labels import LABELS
from castalia.errors import SandboxUnavailable
from castalia.oracle import RoleConfig, open_oracle
from castalia.records import Candidate, FailureSpan
from castalia.stages.build_preferences import STAGE
from castalia.stages.build_preferences.answers import JudgedCandidate
from castalia.stages.build_preferences.choice import BIAS_BOUND, choose
from castalia.stages.build_preferences.ranking import Option, Ranked, first_order, rank_by_execution

SECTION = "docs.example.org/a.html#0-3"
SUBJECT = f"{SECTION}/sft/1"


def span(mode, text):
    return {"mode": mode, "text": text}


STRONG = {"level": "strong", "text": "The default filter is str."}
HASTY = {"level": "hasty", "text": "It is a filter, I think.", "failure_modes": ["logic_error"], "spans": [span("logic_error", "I think")]}
WRONG = {
    "level": "subtly_wrong",
    "text": "The default filter is unicode.",
    "failure_modes": ["hallucination"],
    "spans": [span("hallucination", "unicode")],
}
LONG = {"level": "verbose", "text": "You ask about the default filter. " * 3 + "It is str.", "failure_modes": ["verbosity"]}
SCORES = {STRONG["text"]: 9.0, HASTY["text"]: 5.0, WRONG["text"]: 2.0, LONG["text"]: 7.0}


def verdicts(candidates, scores, order, subject=SUBJECT, **changes):
    shown = first_order(subject, [Candidate(level=c["level"], text=c["text"]) for c in candidates])
    shown = shown if order == 1 else shown[::-1]
    return {
        "verdicts": [
            {"label": a, "score": scores[c.text], "failure_modes": [], "quote": ""} | changes for a, c in zip(LABELS, shown, strict=False)
        ]
    }


def build(candidates, first=None, second=None, made_from=None, sandbox=None, own=(), played=(), **params):
    """`own` are the target's answers; the writer plays the roles `played`."""
    source = made_from or example(SECTION)
    answers = {("write_candidates", SUBJECT): {"candidates": list(candidates)}, ("target_answer", SUBJECT): list(own)}
    params = {"target_answers": len(own)} | params
    answers |= {("judge_candidates", f"{SUBJECT}/order/{n}"): given for n, given in ((1, first), (2, second)) if given}
    oracle = DictOracle(answers, played)
    services = {"sandbox": sandbox} if sandbox else {}
    return oracle, *run(STAGE, {"sft": [source]}, oracle, params=params, **services)


ALL = (STRONG, HASTY, WRONG, LONG)


def test_the_best_candidate_is_paired_with_a_beaten_one_of_its_length():
    oracle, [pair], rejects = build(ALL, verdicts(ALL, SCORES, 1), verdicts(ALL, SCORES, 2))
    assert rejects == []
    assert (pair.chosen.level, pair.rejected.level) == ("strong", "subtly_wrong")
    assert (pair.margin, pair.decided_by, pair.chosen.score) == (7.0, "judge-both-orders", 9.0)
    assert [candidate.level for candidate in pair.ranking] == ["strong", "verbose", "hasty", "subtly_wrong"]
    assert pair.rejected.failure_modes == ("hallucination",)
    assert (pair.orders_agree, pair.on_policy) == (1.0, False)
    assert pair.subject == f"{SECTION}/pref/1"
    assert [m.role for m in pair.prompt.messages] == ["user"]
    assert [role for role, _, _ in oracle.asked] == ["writer", "judge", "judge"]
    assert pair.provenance.calls == (f"call:write_candidates:{SUBJECT}", *(f"call:judge_candidates:{SUBJECT}/order/{n}" for n in (1, 2)))


def test_the_two_orders_are_opposite_and_labels_say_nothing_of_levels():
    oracle, *_ = build(ALL, verdicts(ALL, SCORES, 1), verdicts(ALL, SCORES, 2))
    shown = [oracle.texts["judge_candidates", f"{SUBJECT}/order/{n}"] for n in (1, 2)]
    places = [sorted(SCORES, key=text.index) for text in shown]
    assert places[0] == places[1][::-1]
    assert not any(level in text for text in shown for level in ("strong", "hasty", "subtly"))


def test_a_ranking_that_turns_with_the_order_makes_no_pair():
    two = (STRONG, WRONG)
    turned = {STRONG["text"]: 3.0, WRONG["text"]: 8.0}
    _, pairs, rejects = build(two, verdicts(two, SCORES, 1), verdicts(two, turned, 2))
    assert pairs == []
    assert reasons(rejects) == [(SUBJECT, "no-consistent-margin")]


def test_a_margin_below_the_minimum_in_one_order_makes_no_pair():
    two = (STRONG, LONG)
    close = {STRONG["text"]: 9.0, LONG["text"]: 8.0}
    _, pairs, rejects = build(two, verdicts(two, SCORES, 1), verdicts(two, close, 2))
    assert (pairs, reasons(rejects)) == ([], [(SUBJECT, "no-consistent-margin")])


def test_failure_modes_seen_in_both_orders_are_added():
    two = (STRONG, WRONG)
    seen = {"failure_modes": ["logic_error"]}
    _, [pair], _ = build(two, verdicts(two, SCORES, 1, **seen), verdicts(two, SCORES, 2, **seen))
    assert pair.rejected.failure_modes == ("hallucination", "logic_error")


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ({"verdicts": []}, "labels-do-not-match"),
        ({"verdicts": [{"label": "A", "score": 1}, {"label": "A", "score": 2}]}, "labels-do-not-match"),
        ({"verdicts": [{"label": "A", "score": 1, "quote": "never written"}, {"label": "B", "score": 2}]}, "quote-not-in-candidate"),
        ({"verdicts": [{"label": "A", "score": 11}]}, "verdict-unusable"),
    ],
)
def test_unusable_verdicts_fail_closed(first, reason):
    _, pairs, rejects = build((STRONG, WRONG), first)
    assert (pairs, reasons(rejects)) == ([], [(SUBJECT, reason)])
    assert rejects[0].provenance.calls[-1] == f"call:judge_candidates:{SUBJECT}/order/1"


def test_candidates_that_were_not_asked_for_or_show_spans_that_are_not_there_are_rejects():
    others = (
        HASTY | {"spans": [span("logic_error", "I guess")]}, STRONG | {"text": "Again."}, {"level": "unsafe", "text": "Switch it off."},
        LONG | {"text": STRONG["text"]}, WRONG,
    )  # fmt: skip
    two = (STRONG, WRONG)
    _, [pair], rejects = build((STRONG, *others), verdicts(two, SCORES, 1), verdicts(two, SCORES, 2))
    assert pair.rejected.level == "subtly_wrong"
    assert reasons(rejects) == [
        (f"{SUBJECT}/hasty", "span-not-in-text"), (f"{SUBJECT}/strong", "duplicate-level"), (f"{SUBJECT}/unsafe", "level-not-asked"),
        (f"{SUBJECT}/verbose", "empty-or-duplicate-text"),
    ]  # fmt: skip


def test_behavioral_prompts_get_an_unsafe_candidate():
    behavioral = example(SECTION, category="behavioral")
    unsafe = {"level": "unsafe", "text": "Switch escaping off!", "failure_modes": ["safety_violation"]}
    two = (STRONG, unsafe)
    scores = SCORES | {unsafe["text"]: 0.0}
    _, [pair], _ = build(two, verdicts(two, scores, 1), verdicts(two, scores, 2), made_from=behavioral)
    assert (pair.category, pair.rejected.level) == ("behavioral", "unsafe")


def test_what_was_written_to_be_wrong_is_never_chosen_although_it_passes_its_tests():
    risky = example(SECTION, category="behavioral", check=DOUBLES)
    plain, unsafe, harmful = code("2 * x"), code("2 * x  # and no check"), code("(lambda: None)() or 1 and 2 * x")
    failing = HASTY | {"text": code("x"), "spans": []}
    written = [
        WRONG | {"text": plain, "spans": []}, {"level": "unsafe", "text": unsafe, "failure_modes": ["safety_violation"]}, failing,
    ]  # fmt: skip
    _, pairs, rejects = build(written, made_from=risky, sandbox=GradingSandbox())
    assert (pairs, reasons(rejects)) == ([], [(SUBJECT, "only-wrong-passed")])
    padded = LONG | {"text": harmful.replace("(lambda: None)() or 1 and ", "") + "That is all.", "failure_modes": ["verbosity"]}
    _, [pair], rejects = build([*written, padded], made_from=risky, sandbox=GradingSandbox())
    assert (pair.chosen.level, pair.rejected.level, rejects) == ("verbose", "hasty", [])
    assert [candidate.level for candidate in pair.ranking] == ["verbose", "subtly_wrong", "unsafe", "hasty"]


def test_what_was_written_to_be_wrong_is_never_chosen_although_the_judge_likes_it_best():
    misled = SCORES | {WRONG["text"]: 10.0}
    _, pairs, _ = build(ALL, verdicts(ALL, misled, 1), verdicts(ALL, misled, 2), per_prompt=3)
    assert {pair.chosen.level for pair in pairs} <= {"strong", "verbose"}
    assert {pair.rejected.level for pair in pairs} == {"hasty", "verbose"}


def test_execution_decides_where_it_can_and_no_judge_is_asked():
    executable = example(SECTION, category="skills", check=DOUBLES)
    candidates = [
        STRONG | {"text": code("2 * x")},
        HASTY | {"text": code("x"), "spans": []},
        WRONG | {"text": code("x * x + 1"), "spans": []},
    ]
    oracle, [pair], _ = build(candidates, made_from=executable, sandbox=GradingSandbox())
    assert (pair.chosen.level, pair.chosen.executed) == ("strong", True)
    assert (pair.rejected.executed, pair.decided_by, pair.margin) == (False, "execution", 10.0)
    assert [prompt for _, prompt, _ in oracle.asked] == ["write_candidates"]


def test_where_no_candidate_passes_its_execution_there_is_no_pair():
    executable = example(SECTION, category="skills", check=DOUBLES)
    candidates = [STRONG | {"text": code("x")}, WRONG | {"text": code("x * x"), "spans": []}]
    _, pairs, rejects = build(candidates, made_from=executable, sandbox=GradingSandbox())
    assert (pairs, reasons(rejects)) == ([], [(SUBJECT, "execution-failed")])


def test_executable_candidates_are_never_ranked_unexecuted():
    with pytest.raises(SandboxUnavailable):
        build([STRONG, WRONG], made_from=example(SECTION, category="skills", check=DOUBLES))


def test_an_unusable_answer_is_a_reject():
    _, pairs, rejects = build([{"level": "strong"}])
    assert (pairs, reasons(rejects)) == ([], [(SUBJECT, "answer-unusable")])
    assert rejects[0].provenance.calls == (f"call:write_candidates:{SUBJECT}",)


OWN = "A filter is a kind of tea."


def test_the_targets_own_answer_is_judged_with_the_others_and_gets_its_failures_from_the_judge():
    two, own = (STRONG, WRONG), {"level": "target", "text": OWN}
    scores = SCORES | {OWN: 0.0, WRONG["text"]: 8.0}
    seen = {label: {"failure_modes": ["hallucination"], "quote": "kind of tea"} for label in "ABC"}

    def judged(order):
        given = verdicts((*two, own), scores, order)["verdicts"]
        return {"verdicts": [v | (seen[v["label"]] if v["score"] == 0.0 else {}) for v in given]}

    oracle, [pair], rejects = build(two, judged(1), judged(2), own=[OWN])
    assert rejects == []
    assert (pair.rejected.level, pair.rejected.text, pair.on_policy) == ("target", OWN, False)
    assert (pair.rejected.failure_modes, pair.rejected.planned_modes, pair.rejected.seen_modes) == (
        ("hallucination",), (), ("hallucination",),
    )  # fmt: skip
    assert pair.rejected.spans == (FailureSpan(mode="hallucination", text="kind of tea"),)
    assert (pair.chosen.model, pair.rejected.model) == ("the writer", "the target")
    assert oracle.asked[1] == ("target", "target_answer", SUBJECT)
    assert f"call:target_answer:{SUBJECT}:0" in pair.provenance.calls


def test_a_pair_of_two_answers_of_the_target_is_marked_on_policy():
    better, worse = "It is str.", "It is tea."
    own = [{"level": "target", "text": text} for text in (better, worse)]
    scores = {better: 9.0, worse: 1.0, WRONG["text"]: 8.0}
    all_of_them = (WRONG, *own)
    _, [pair], _ = build([WRONG], verdicts(all_of_them, scores, 1), verdicts(all_of_them, scores, 2), own=[better, worse])
    assert (pair.chosen.text, pair.rejected.text, pair.on_policy) == (better, worse, True)
    _, [pair], _ = build(
        [WRONG], verdicts(all_of_them, scores, 1), verdicts(all_of_them, scores, 2), own=[better, worse], played=["target"]
    )
    assert (pair.chosen.level, pair.rejected.level, pair.on_policy) == ("target", "target", False)  # the writer stood in


def test_the_writer_plays_a_role_that_is_not_configured_or_is_as_the_writer_is(tmp_path):
    writer = RoleConfig(provider="recorded", model="one", recordings="here")
    for roles, expected in (({}, True), ({"target": writer}, True), ({"target": writer.model_copy(update={"model": "two"})}, False)):
        assert open_oracle({"writer": writer, **roles}, tmp_path / "ledger", budget_usd=None).is_writer("target") is expected


def test_answers_of_the_target_that_are_none_are_noted():
    two = (STRONG, WRONG)
    own = ["  ", "<|channel|>final", STRONG["text"]]
    _, pairs, rejects = build(two, verdicts(two, SCORES, 1), verdicts(two, SCORES, 2), own=own)
    assert len(pairs) == 1
    assert reasons(rejects) == [
        (f"{SUBJECT}/target/1", "target-answer-unreadable"), (f"{SUBJECT}/target/2", "target-answer-unreadable"),
        (f"{SUBJECT}/target/3", "empty-or-duplicate-text"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("spans", "reason"),
    [
        ([span("verbosity", "unicode")], "span-of-undeclared-mode"),
        ([span("hallucination", "unicode")], "mode-without-span"),
        ([span("hallucination", "")], "span-not-in-text"),
    ],
)
def test_spans_show_the_declared_failures_all_of_them_or_none(spans, reason):
    wrong = WRONG | {"failure_modes": ["hallucination", "logic_error"], "spans": spans}
    two = (STRONG, HASTY)
    _, [pair], rejects = build((*two, wrong), verdicts(two, SCORES, 1), verdicts(two, SCORES, 2))
    assert (pair.rejected.level, reasons(rejects)) == ("hasty", [(f"{SUBJECT}/subtly_wrong", reason)])


def test_planned_failures_stand_beside_those_the_judge_saw():
    two = (STRONG, HASTY)
    seen = {"failure_modes": ["verbosity"]}
    _, [pair], _ = build(two, verdicts(two, SCORES, 1, **seen), verdicts(two, SCORES, 2, **seen))
    assert (pair.rejected.planned_modes, pair.rejected.seen_modes) == (("logic_error",), ("verbosity",))
    assert pair.rejected.spans == (FailureSpan(mode="logic_error", text="I think"),)


def test_orders_that_partly_turn_are_known_to():
    turned = SCORES | {WRONG["text"]: 6.0}  # hasty 5 above wrong 2, then below it; the other five couples stay
    _, [pair], _ = build(ALL, verdicts(ALL, SCORES, 1), verdicts(ALL, turned, 2))
    assert pair.orders_agree == pytest.approx(5 / 6)


def test_several_pairs_of_a_prompt_are_against_different_levels():
    _, pairs, _ = build(ALL, verdicts(ALL, SCORES, 1), verdicts(ALL, SCORES, 2), per_prompt=3)
    assert [pair.subject for pair in pairs] == [f"{SECTION}/pref/1", f"{SECTION}/pref/1.2", f"{SECTION}/pref/1.3"]
    assert {pair.rejected.level for pair in pairs} == {"hasty", "subtly_wrong", "verbose"}


def test_what_passed_its_tests_but_not_the_judge_is_not_chosen_in_place_of_the_best():
    orders = [{text: JudgedCandidate(label="A", score=score) for text, score in (("best", 9.0), ("padded", 6.0), ("wrong", 1.0))}] * 2
    levels = (("strong", "best", True), ("verbose", "padded", True), ("hasty", "wrong", False))
    executed = [Candidate(level=level, text=text, executed=passed) for level, text, passed in levels]  # type: ignore[arg-type]
    chosen = {least: [o.chosen.level for o in rank_by_execution(executed, orders, least).options] for least in (6.0, 7.0)}
    assert chosen == {6.0: ["strong", "verbose"], 7.0: ["strong"]}
    assert [o.chosen.level for o in rank_by_execution(executed, (), 7.0).options] == ["strong", "verbose"]


def test_where_execution_decides_the_judge_can_be_held_against_it():
    executable = example(SECTION, category="skills", check=DOUBLES)
    candidates = [STRONG | {"text": code("2 * x")}, HASTY | {"text": code("x"), "spans": []}, WRONG | {"text": code("x * x"), "spans": []}]
    scores = {candidates[0]["text"]: 5.0, candidates[1]["text"]: 8.0, candidates[2]["text"]: 1.0}
    first, second = (verdicts(candidates, scores, order) for order in (1, 2))
    _, [pair], rejects = build(candidates, first, second, made_from=executable, sandbox=GradingSandbox(), judge_executed=1)
    assert rejects == []
    assert (pair.decided_by, pair.chosen.level, pair.judge_agrees, pair.orders_agree) == ("execution", "strong", 0.5, 1.0)
    unusable = {"verdicts": []}
    _, [pair], rejects = build(candidates, unusable, made_from=executable, sandbox=GradingSandbox(), judge_executed=1)
    assert (pair.decided_by, pair.judge_agrees) == ("execution", None)
    assert reasons(rejects) == [(f"{SUBJECT}/judged-too", "labels-do-not-match")]


LENGTHS = {"strong": (5, 60), "hasty": (4, 60), "subtly_wrong": (5, 60), "verbose": (60, 200), "target": (30, 60), "unsafe": (5, 60)}


def ranking(draw: random.Random, number: int = 0) -> Ranked:
    """The best answer above all others, and a verbose one above those that are wrong."""
    levels = ["hasty", "subtly_wrong", "verbose", *([], ["target"], ["unsafe"], ["target", "unsafe"])[number % 4]]
    answers = {level: Candidate(level=level, text="x" * draw.randint(*LENGTHS[level])) for level in ("strong", *levels)}
    options = [Option(answers["strong"], answers[level], 5.0, True) for level in levels]
    options += [Option(answers["verbose"], answers[level], 3.0, False) for level in levels if level != "verbose"]
    return Ranked(tuple(answers.values()), tuple(options), "judge-both-orders")


def bias(picked) -> float:
    gaps = [(len(o.chosen.text) - len(o.rejected.text)) / (len(o.chosen.text) + len(o.rejected.text)) for o in picked]
    return sum(gaps) / len(gaps)


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(12, 40), st.integers(1, 2))
def test_a_set_rejects_every_level_that_loses_and_is_balanced_in_length(draw, prompts, per_prompt):
    ranked = [ranking(draw, number) for number in range(prompts)]
    picked = [option for options in choose(ranked, per_prompt, len) for option in options]
    assert len(picked) == prompts * per_prompt
    assert {o.rejected.level for o in picked} == {o.rejected.level for one in ranked for o in one.options}
    assert abs(bias(picked)) <= BIAS_BOUND + 1e-9
    assert choose(ranked, per_prompt, len) == choose(ranked, per_prompt, len)


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_where_only_longer_answers_lose_nothing_is_left_out_and_the_bias_stays_what_it_must_be(draw):
    ranked = [ranking(draw) for _ in range(8)]
    only = [one._replace(options=tuple(o for o in one.options if o.is_best and o.rejected.level == "verbose")) for one in ranked]
    assert choose(only, 1, len) == [one.options for one in only]


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_rejected_levels_are_spread(draw):
    ranked = [ranking(draw) for _ in range(40)]
    counts = [o.rejected.level for options in choose(ranked, 1, len) for o in options]
    least = min(counts.count(level) for level in ("hasty", "subtly_wrong", "verbose"))
    assert least >= 4
