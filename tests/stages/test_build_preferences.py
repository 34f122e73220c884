import pytest
from asked import DOUBLES, DictOracle, GradingSandbox, code, example, reasons, run

from castalia.errors import SandboxUnavailable
from castalia.records import Candidate
from castalia.stages.build_preferences import STAGE
from castalia.stages.build_preferences.ranking import LABELS, first_order

SECTION = "docs.example.org/a.html#0-3"
SUBJECT = f"{SECTION}/sft/1"
STRONG = {"level": "strong", "text": "The default filter is str."}
HASTY = {"level": "hasty", "text": "It is a filter, I think.", "failure_modes": ["logic_error"], "spans": ["I think"]}
WRONG = {"level": "subtly_wrong", "text": "The default filter is unicode.", "failure_modes": ["hallucination"], "spans": ["unicode"]}
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


def build(candidates, first=None, second=None, made_from=None, sandbox=None, **params):
    source = made_from or example(SECTION)
    answers = {("write_candidates", SUBJECT): {"candidates": list(candidates)}}
    answers |= {("judge_candidates", f"{SUBJECT}/order/{n}"): given for n, given in ((1, first), (2, second)) if given}
    oracle = DictOracle(answers)
    services = {"sandbox": sandbox} if sandbox else {}
    return oracle, *run(STAGE, {"sft": [source]}, oracle, params=params, **services)


ALL = (STRONG, HASTY, WRONG, LONG)


def test_the_best_candidate_is_paired_with_the_beaten_one_nearest_in_length():
    oracle, [pair], rejects = build(ALL, verdicts(ALL, SCORES, 1), verdicts(ALL, SCORES, 2))
    assert rejects == []
    assert (pair.chosen.level, pair.rejected.level) == ("strong", "hasty")
    assert (pair.margin, pair.decided_by, pair.chosen.score) == (4.0, "judge-both-orders", 9.0)
    assert [candidate.level for candidate in pair.ranking] == ["strong", "verbose", "hasty", "subtly_wrong"]
    assert pair.rejected.failure_modes == ("logic_error",)
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


def test_candidates_that_were_not_asked_for_or_show_spans_that_are_not_there_are_rejects():
    others = (
        HASTY | {"spans": ["I guess"]}, STRONG | {"text": "Again."}, {"level": "unsafe", "text": "Switch it off."},
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
