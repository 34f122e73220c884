import pytest
from asked import DictOracle, example, run
from hypothesis import given
from hypothesis import strategies as st

from castalia.records import Check, Rubric
from castalia.stages.build_rewards import STAGE
from castalia.stages.build_rewards.formula import combined_reward, is_disagreement

SECTION = "docs.example.org/a.html#0-3"
SUBJECT = f"{SECTION}/sft/1"
CHECK = Check(kind="contains", expected=("str",))
ANSWERS = ["It is str.", "It is unicode.", "<|channel|>str", ""]


QUOTES = dict(zip("ABCD", ("str", "unicode", "str", ""), strict=True))


def judged(label: str, accuracy: float = 8, **changes):
    scores = {"accuracy": accuracy, "safety": 10, "helpfulness": 6, "calibration": 8}
    return {"label": label, **scores, "quote": QUOTES[label]} | changes


def build(verdicts, source=None, answers=ANSWERS, **params):
    oracle = DictOracle({("target_answer", SUBJECT): answers, ("judge_rewards", SUBJECT): {"answers": verdicts}})
    return oracle, *run(STAGE, {"sft": [source or example(SECTION, check=CHECK)]}, oracle, params=params)


ALL = [judged(label) for label in "ABCD"]


def test_answers_of_the_target_are_checked_scored_and_combined():
    oracle, [record], rejects = build(ALL)
    assert rejects == []
    assert [answer.text for answer in record.answers] == ANSWERS
    assert [answer.checked for answer in record.answers] == [True, False, True, False]
    assert [answer.parsed for answer in record.answers] == [True, True, False, False]
    assert [answer.reward for answer in record.answers] == [pytest.approx(0.9), 0.0, 0.0, 0.0]
    assert [answer.disagree for answer in record.answers] == [False, True, True, True]
    assert (record.subject, record.reference, record.check) == (f"{SECTION}/reward/1", "Right.", CHECK)
    assert "0 if the answer is empty or holds tokens of broken Harmony, or if the check fails" in record.formula
    assert record.provenance.calls == (*(f"call:target_answer:{SUBJECT}:{k}" for k in range(4)), f"call:judge_rewards:{SUBJECT}")
    assert [role for role, _, _ in oracle.asked] == ["target"] * 4 + ["judge"]


@pytest.mark.parametrize(
    "verdicts",
    [ALL[:3], [*ALL[:3], judged("C")], [*ALL[:3], judged("D", accuracy=11)]],
    ids=["one missing", "one twice", "out of scale"],
)
def test_a_judge_error_leaves_none_never_a_pass_and_is_reported(verdicts):
    _, [record], [reject] = build(verdicts)
    assert reject.reason == "verdict-unusable"
    assert all(answer.rubric == Rubric() for answer in record.answers)
    assert [answer.reward for answer in record.answers] == [None, 0.0, 0.0, 0.0]
    assert [answer.checked for answer in record.answers] == [True, False, True, False]


def test_a_quote_that_is_not_in_the_answer_voids_only_that_rubric():
    _, [record], [reject] = build([judged("A", quote="It is str"), judged("B", quote="It is str"), *ALL[2:]])
    assert [answer.rubric == Rubric() for answer in record.answers] == [False, True, False, False]
    assert reject.detail.startswith("B quotes")


def test_a_rubric_without_the_words_that_decided_is_void_unless_the_answer_is_empty():
    _, [record], [reject] = build([judged("A", quote=""), judged("B", quote=" "), *ALL[2:]])
    assert [answer.rubric == Rubric() for answer in record.answers] == [True, True, False, False]
    assert reject.detail == "A quotes nothing; B quotes nothing"


def test_operators_that_look_like_half_a_token_are_readable():
    piped = "List.map str <| xs, and str <|> other"
    answers = [piped, piped + "<|end|>", "", ""]
    _, [record], _ = build([judged("A"), judged("B", quote="str"), judged("C", quote=""), judged("D")], answers=answers)
    assert [(answer.parsed, answer.reward) for answer in record.answers[:2]] == [(True, pytest.approx(0.9)), (False, 0.0)]


def test_the_calls_behind_an_unusable_verdict_are_kept():
    _, [record], [reject] = build([*ALL[:3], judged("D", accuracy=11)])
    assert record.provenance.calls[-1] == reject.provenance.calls[-1] == f"call:judge_rewards:{SUBJECT}"


def test_a_check_that_anything_passes_earns_no_reward_record_and_no_call():
    source = example(SECTION, check=Check(kind="regex", expected=(".",)))
    oracle, records, [reject] = build(ALL, source=source)
    assert (records, reject.subject, reject.reason, oracle.asked) == ([], SUBJECT, "check-proves-nothing", [])


def test_only_the_last_part_of_a_subject_is_renamed():
    section = "docs.example.org/sft/a.html#0-3"
    subject = f"{section}/sft/1"
    oracle = DictOracle({("target_answer", subject): ANSWERS, ("judge_rewards", subject): {"answers": ALL}})
    [record], _ = run(STAGE, {"sft": [example(section, check=CHECK)]}, oracle)
    assert record.subject == f"{section}/reward/1"


def test_examples_without_a_check_give_no_reward_record():
    oracle, records, rejects = build(ALL, source=example(SECTION))
    assert (records, rejects, oracle.asked) == ([], [], [])


SCORES = st.none() | st.floats(0, 10)


@given(st.booleans(), st.builds(Rubric, accuracy=SCORES, safety=SCORES, helpfulness=SCORES, calibration=SCORES))
def test_no_rubric_lifts_a_failed_check_and_none_drops_a_passed_one_below_half(checked, rubric):
    reward = combined_reward(checked, rubric)
    if not checked:
        assert reward == 0.0
    elif None in (rubric.accuracy, rubric.safety, rubric.helpfulness, rubric.calibration):
        assert reward is None
    else:
        assert reward is not None and 0.5 <= reward <= 1.0


def test_judge_and_check_disagree_only_where_they_point_apart():
    assert is_disagreement(True, Rubric(accuracy=4))
    assert is_disagreement(False, Rubric(accuracy=7))
    assert not is_disagreement(True, Rubric(accuracy=7))
    assert not is_disagreement(False, Rubric())
