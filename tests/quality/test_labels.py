"""What people say counts: a rejection keeps out, an approval stands in for a missing verdict and for nothing else."""

import json
from pathlib import Path

import pytest

from castalia.engine.context import Context
from castalia.errors import InputError, ReleaseRefused
from castalia.quality.audit import ENOUGH_LABELS, LEAST_LABELS, accepted_quality, agreement, judge_errors, returned, reviewers
from castalia.quality.check import CheckContext
from castalia.quality.checks.execution import EXECUTION
from castalia.quality.funnel import first_stops, funnel
from castalia.quality.labels import add_label, decisions, read_labels, second_looks, shown_to, undecided
from castalia.quality.review import proved
from castalia.quality.verify import VerifyParams
from castalia.quality.view import view_record
from castalia.records import Check, Label, LabelValue, Provenance, ReviewItem, Verdict
from castalia.release import accept
from castalia.summary.people import people
from castalia.workspace import make_release
from small_world import passed, sft, trace_example, world

ONE, TWO = sft(1), sft(2, question="And black tea?")


def label(value: LabelValue, record: str = ONE.id, reviewer: str = "ana") -> Label:
    return Label(record=record, reviewer=reviewer, label=value, at="2024-05-01T10:00:00+00:00")


def released(verdicts: list[Verdict], *labels: Label) -> set[str]:
    return {record.id for record in accept({"sft": [ONE, TWO]}, verdicts, labels).records["sft"]}


BOTH_PASS = [passed(ONE, "sft"), passed(TWO, "sft")]


def test_a_rejection_keeps_a_record_out_and_is_counted_as_layer_6():
    assert released(BOTH_PASS, label("reject")) == {TWO.id}
    assert accept({"sft": [ONE, TWO]}, BOTH_PASS, [label("reject")]).kept_out == {("sft", 6, "people", "reject"): 1}


@pytest.mark.parametrize(
    ("layer", "check", "outcome", "let_through"),
    [
        (2, "consistency", "abstain", True),
        (5, "policy", "abstain", True),
        (2, "consistency", "fail", False),
        (4, "execution", "fail", False),
        (5, "policy", "fail", False),
        (5, "licence", "fail", False),
    ],
)
def test_an_approval_stands_in_for_a_missing_verdict_and_overrides_nothing(layer: int, check: str, outcome: str, let_through: bool):
    verdicts = [*BOTH_PASS, passed(ONE, "sft", layer=layer, check=check, outcome=outcome)]
    assert released(verdicts) == {TWO.id}
    assert (ONE.id in released(verdicts, label("approve"))) == let_through


def test_an_approval_does_not_make_a_layer_run():
    with pytest.raises(ReleaseRefused, match="wait"):
        released([*BOTH_PASS, passed(ONE, "sft", layer=4, outcome="waiting")], label("approve"))


def test_where_people_differ_the_rejection_holds_and_a_flag_decides_nothing():
    assert decisions([label("approve"), label("reject", reviewer="ben")]) == {ONE.id: "reject"}
    assert decisions([label("reject", reviewer="ben"), label("approve")]) == {ONE.id: "reject"}
    assert decisions([label("flag")]) == {}


def test_the_funnel_and_the_release_keep_out_the_same_records():
    verdicts = [*BOTH_PASS, passed(TWO, "sft", layer=4, check="execution", outcome="waiting", reason="no cargo")]
    labels = [label("reject")]
    [row] = funnel({"sft": 2}, verdicts, first_stops(verdicts, labels))
    assert row.standing == (2, 2, 2, 1, 1, 0)
    assert (row.accepted, row.stopped) == (0, (("4 execution waiting", 1), ("6 people reject", 1)))
    assert row.waiting == (("4 execution: no cargo", 1),)
    assert set(first_stops(verdicts, labels)) == {ONE.id, TWO.id}


# On the disk


def test_a_later_label_replaces_the_earlier_and_undoing_takes_it_away(tmp_path: Path):
    path = tmp_path / "labels.jsonl"
    for value in ("approve", "reject"):
        add_label(path, ONE.id, "ana", value)
    add_label(path, TWO.id, "ana", "approve")
    add_label(path, TWO.id, "ana", "undone")
    assert [(one.record, one.label) for one in read_labels(path)] == [(ONE.id, "reject")]
    assert read_labels(path)[0].provenance == Provenance(parents=(ONE.id,))


def test_a_line_that_a_crash_cut_off_costs_only_its_own_label(tmp_path: Path):
    path = tmp_path / "labels.jsonl"
    add_label(path, ONE.id, "ana", "approve")
    path.write_bytes(path.read_bytes() + b'{"record": "sft_1", "revie')
    assert len(read_labels(path)) == 1
    add_label(path, TWO.id, "ana", "reject")
    assert [one.record for one in read_labels(path)] == [ONE.id, TWO.id]


@pytest.mark.parametrize("line", ["{", "[]", json.dumps({"record": "a", "reviewer": "b", "label": "maybe", "at": ""})])
def test_a_line_that_is_no_label_is_named(tmp_path: Path, line: str):
    (tmp_path / "labels.jsonl").write_text(f"\n{line}\n")
    with pytest.raises(InputError, match="line 2 is no label"):
        read_labels(tmp_path / "labels.jsonl")


# In a workspace


def test_labels_take_records_out_of_the_next_release_and_are_records_of_the_store(tmp_path: Path):
    workspace = world(tmp_path)
    add_label(workspace.labels, trace_example().id, "ana", "reject")
    made = make_release(workspace)
    assert made.records["sft"] == 1
    assert [one.label for one in workspace.store.read_dataset("labels", Label)] == ["reject"]
    locked = json.loads((made.folder / "lock.json").read_text())["datasets"]
    assert locked["labels"] == workspace.store.manifest("labels").content
    assert "| sft | 6 | people | reject | 1 |" in (made.folder / "README.md").read_text()
    add_label(workspace.labels, trace_example().id, "ana", "undone")
    assert make_release(workspace).records["sft"] == 2


def test_decided_records_no_longer_wait(tmp_path: Path):
    workspace = world(tmp_path)
    before = people(workspace).waiting
    add_label(workspace.labels, sft().id, "ana", "flag")
    assert people(workspace).waiting == before
    add_label(workspace.labels, sft().id, "ben", "approve")
    assert people(workspace).waiting == before - 1


# Agreement


def judged(number: int, outcome: str) -> Verdict:
    by_a_model = Provenance(parents=(f"sft_{number}",), calls=("c" * 64,))
    found = passed(sft(), "sft", layer=2, check="consistency", outcome=outcome, provenance=by_a_model)
    return found.model_copy(update={"record": f"sft_{number}"})


def test_agreement_with_people_is_reported_by_judge_with_kappa():
    verdicts = [judged(number, "fail" if number < 6 else "flag" if number < 9 else "pass") for number in range(ENOUGH_LABELS)]
    labels = [label("reject" if number in (0, 1, 2, 3, 12) else "approve", f"sft_{number}") for number in range(ENOUGH_LABELS)]
    [found] = agreement(
        [*verdicts, passed(sft(), "sft").model_copy(update={"record": "sft_0"})], labels
    )  # the last was given by a program, not by a judge
    assert (found.check, found.records, found.same) == ("consistency", 20, 0.85)
    assert found.kappa is not None
    assert found.kappa.mean == pytest.approx((0.85 - (0.3 * 0.25 + 0.7 * 0.75)) / (1 - (0.3 * 0.25 + 0.7 * 0.75)))


def test_too_few_labels_say_nothing_and_one_answer_has_no_kappa():
    verdicts = [judged(number, "pass") for number in range(ENOUGH_LABELS)]
    labels = [label("approve", f"sft_{number}") for number in range(ENOUGH_LABELS)]
    assert agreement(verdicts, labels[1:]) == []
    [found] = agreement(verdicts, labels)
    assert (found.same, found.kappa) == (1.0, None)


# What labels say of judges, of the set and of people


def judged_by(check: str, outcomes: dict[str, str], category: str = "knowledge") -> list[Verdict]:
    """One judge's verdicts by record."""
    return [
        passed(
            sft(), "sft", layer=2, check=check, outcome=outcome, record=record, category=category,
            provenance=Provenance(parents=(record,), calls=("c" * 64,)),
        )
        for record, outcome in outcomes.items()
    ]  # fmt: skip


def names(count: int, prefix: str = "k") -> list[str]:
    return [f"sft_{prefix}{number}" for number in range(count)]


def test_a_judge_that_is_often_wrong_in_a_category_is_suspended_there_and_nowhere_else():
    knowledge, skills = names(30), names(30, "s")
    verdicts = [
        *judged_by("consistency", dict.fromkeys(knowledge, "pass")),
        *judged_by("consistency", dict.fromkeys(skills, "pass"), "skills"),
    ]
    labels = [label("reject" if number < 5 else "approve", record) for number, record in enumerate(knowledge[:10])]
    labels += [label("approve", record) for record in skills[:10]]
    assert [(error.category, error.suspended) for error in judge_errors(verdicts, labels)] == [("knowledge", True), ("skills", False)]
    stopped = first_stops(verdicts, labels)
    assert set(stopped) == {*knowledge[:5], *knowledge[10:]}  # approved ones go on, rejected ones are out, the others wait for a person
    assert stopped[knowledge[20]].outcome == "abstain"
    assert "suspended" in stopped[knowledge[20]].reason
    assert {item.record for item in returned(verdicts, labels, [])} >= set(knowledge[10:])
    assert not {item.record for item in returned(verdicts, labels, [])} & set(skills)


def test_a_few_labels_suspend_nobody_by_chance():
    records = names(30)
    verdicts = judged_by("consistency", dict.fromkeys(records, "pass"))
    assert not any(error.suspended for error in judge_errors(verdicts, [label("reject", records[0]), label("approve", records[1])]))


def test_two_slips_that_one_reviewer_found_take_no_category_out():
    records = names(30)
    verdicts = judged_by("judge", dict.fromkeys(records, "pass"))
    assert not any(error.suspended for error in judge_errors(verdicts, [label("reject", record) for record in records[:2]]))
    assert any(error.suspended for error in judge_errors(verdicts, [label("reject", record) for record in records[:LEAST_LABELS]]))


def test_what_a_suspended_judge_stopped_stays_stopped():
    records = names(20)
    verdicts = judged_by("consistency", dict.fromkeys(records, "fail"))
    labels = [label("approve", record) for record in records[:10]]
    assert judge_errors(verdicts, labels)[0].suspended
    assert set(first_stops(verdicts, labels)) == set(records)
    assert returned(verdicts, labels, []) == []


def test_what_a_judge_let_through_and_something_else_stopped_says_nothing_of_the_judge():
    clear, caught = names(12), names(30, "c")
    verdicts = judged_by("consistency", dict.fromkeys([*clear, *caught], "pass"))
    verdicts += [passed(sft(), "sft", layer=4, check="execution", outcome="fail", record=record) for record in caught]
    labels = [label("reject" if number % 2 else "approve", record) for number, record in enumerate([*clear, *caught])]
    [error] = judge_errors(verdicts, labels)
    assert (error.records, error.error.labelled, error.error.mean) == (12, 12, 0.5)


def test_all_that_a_doubted_judge_stopped_does_not_speak_for_what_another_one_stopped():
    doubted, others = names(40, "d"), names(400, "o")
    verdicts = judged_by("policy", dict.fromkeys([*doubted, *others], "fail"))
    verdicts += judged_by("facts", dict.fromkeys(doubted, "fail"))
    labels = [label("approve", record) for record in doubted] + [label("reject", record) for record in others[:40]]
    error = next(error for error in judge_errors(verdicts, labels) if error.check == "policy")
    assert error.error.mean == pytest.approx(40 / 440, abs=0.02)  # not the half of the labels


def test_agreement_is_weighted_back_by_category_as_records_are_drawn():
    common, rare = names(900), names(30, "s")
    verdicts = [*judged_by("facts", dict.fromkeys(common, "pass")), *judged_by("facts", dict.fromkeys(rare, "pass"), "skills")]
    labels = [label("approve", record) for record in common[:30]] + [label("reject", record) for record in rare]
    [found] = agreement(verdicts, labels)
    assert found.same == pytest.approx(900 / 930, abs=0.01)  # not the half of the labels


def test_a_program_is_never_suspended_and_its_catch_is_no_error_of_the_judge():
    records = names(20)
    by_judge = judged_by("consistency", dict.fromkeys(records, "pass"))
    by_program = [passed(sft(), "sft", layer=4, check="execution", outcome="fail", record=record) for record in records]
    labels = [label("reject", record) for record in records]
    assert judge_errors([*by_judge, *by_program], labels) == []


def test_the_quality_of_what_was_let_through_is_weighted_by_stratum():
    calm, flagged = names(900), names(100, "f")
    verdicts = judged_by("consistency", dict.fromkeys(calm, "pass") | dict.fromkeys(flagged, "flag"))
    labels = [label("approve", record) for record in calm[:40]]
    labels += [label("reject" if number % 2 else "approve", record) for number, record in enumerate(flagged[:40])]
    found = accepted_quality(verdicts, labels)
    assert found is not None
    assert found.mean == pytest.approx(0.95, abs=0.01)  # 0.9 * 1 + 0.1 * 0.5, not the 0.75 of the labels
    assert found.low < 0.94 < found.high
    assert accepted_quality(verdicts, []) is None


def item(record: str, **changes: object) -> ReviewItem:
    values = {
        "record": record, "dataset": "sft", "category": "knowledge", "stratum": "agree-pass", "inclusion_probability": 0.1,
        "provenance": Provenance(parents=(record,)),
    }  # fmt: skip
    return ReviewItem.model_validate(values | changes)


def test_a_second_look_is_asked_of_somebody_else_and_only_where_it_was_drawn():
    queue = [item("sft_1"), item("sft_2", reviews=2)]
    labels = [label("approve", "sft_1"), label("approve", "sft_2")]
    assert [one.record for one in second_looks(queue, labels)] == ["sft_2"]
    assert shown_to("ana", queue, labels) == []
    assert [one.record for one in shown_to("ben", queue, labels)] == ["sft_2"]
    both = [*labels, label("reject", "sft_2", reviewer="ben")]
    assert (second_looks(queue, both), undecided(queue, both)) == ([], [])


def test_people_are_held_against_each_other_and_against_what_execution_proved():
    queue = [item(f"sft_{number}", reviews=2, proved="wrong" if number < 5 else "right") for number in range(20)]
    labels = [label("reject" if number < 5 else "approve", f"sft_{number}") for number in range(20)]
    labels += [label("reject" if number < 4 else "approve", f"sft_{number}", reviewer="ben") for number in range(20)]
    found = reviewers(labels, queue)
    assert (found.twice, found.proved) == (20, {"ana": (20, 20), "ben": (20, 19)})
    assert found.alpha is not None
    assert found.alpha.interval[0] < found.alpha.mean < 1
    assert reviewers(labels[:20], queue).alpha is None  # nobody looked twice


def test_only_what_ran_proves_a_record():
    assert proved([passed(ONE, "sft"), passed(ONE, "sft", layer=4, check="execution")]) == "right"
    assert proved([passed(ONE, "sft", layer=4, check="execution", outcome="fail")]) == "wrong"
    assert proved([passed(ONE, "sft", layer=4, check="execution", outcome="waiting")]) is None
    assert proved([passed(ONE, "sft", layer=2, check="consistency")]) is None
    assert proved([passed(ONE, "sft", layer=4, check="names-of-a-plug-in", outcome="fail")]) is None


def test_a_check_that_proves_nothing_proves_no_record_wrong():
    free = sft(check=Check(kind="regex", expected=(".",)))
    checks = CheckContext({}, {}, {}, VerifyParams(), Context("verify", (), {}, None))
    finding = EXECUTION.run(view_record(free, "sft"), checks)
    assert finding is not None
    assert finding.outcome == "fail"
    assert proved([passed(free, "sft", layer=4, check="execution", outcome="fail", reason=finding.reason)]) is None
    wrong = EXECUTION.run(view_record(sft(check=Check(kind="contains", expected=("two hours",))), "sft"), checks)
    assert wrong is not None
    assert proved([passed(free, "sft", layer=4, check="execution", outcome=wrong.outcome, reason=wrong.reason)]) == "wrong"
