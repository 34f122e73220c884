"""The mix: one of prompts that ask the same, quotas by part of a dataset, and a reason for everything that is left out."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.cli import main
from castalia.config import load_config
from castalia.errors import ConfigError
from castalia.quality.alike import AlikeIndex
from castalia.quality.mix import mix
from castalia.quality.quotas import excesses, shortages
from castalia.records import Mix, Quota, SFTExample, TaxonomyNode, Verdict
from castalia.release import accept
from castalia.summary.data import coverage, funnel, passed_records
from castalia.workspace import Workspace, make_release
from small_world import SECTION, configuration, pair, passed, put, settle, sft, world

LONG = "Tell me, please, how long the green tea of the second pot on the table by the window steeps before it is poured for guests"
TWICE = [sft(1, LONG), sft(3, f"{LONG}?"), sft(4, "And black tea?")]


def many(count: int, **changes: Any) -> list[SFTExample]:
    return [sft(10 + n, f"Question number {n} about pot {n * 7}", **changes) for n in range(count)]


def node(key: str) -> TaxonomyNode:
    return TaxonomyNode(key=key, category="knowledge", title=key, description="d", abilities=())


def quotas(*given: dict[str, Any]) -> Mix:
    return Mix(quotas=tuple(Quota.model_validate(one) for one in given))


def test_of_prompts_that_ask_almost_the_same_one_is_used_and_the_other_names_it():
    mixed = mix({"sft": TWICE}, Mix())
    [reject] = mixed.left_out["sft"]
    kept = {record.id for record in mixed.records["sft"]}
    assert len(kept) == 2
    assert (reject.stage, reject.reason) == ("mix", "near-duplicate-prompt")
    assert reject.provenance.parents[0] not in kept
    assert any(record in reject.detail for record in kept)


def test_prompts_are_compared_within_a_dataset_and_not_at_all_where_that_is_not_wanted():
    same = pair().model_copy(update={"prompt": sft().conversation.model_copy(update={"messages": sft().conversation.messages[:1]})})
    assert not any(mix({"sft": [sft()], "preferences": [same]}, Mix()).left_out.values())
    assert len(mix({"sft": TWICE}, Mix(near_duplicates=None)).records["sft"]) == 3


def test_a_quota_leaves_out_what_is_over_it_and_each_part_has_the_quota_by_itself():
    records = [*many(3), *many(2, difficulty="hard"), *many(2, kind="worked-solution")]
    mixed = mix({"sft": records}, Mix(near_duplicates=None, quotas=quotas({"difficulty": "*", "kind": "*", "at_most": 1}).quotas))
    assert sorted((record.difficulty, record.kind) for record in mixed.records["sft"] if isinstance(record, SFTExample)) == [
        ("easy", "grounded-answer"), ("easy", "worked-solution"), ("hard", "grounded-answer"),
    ]  # fmt: skip
    assert {(reject.reason, reject.detail) for reject in mixed.left_out["sft"]} == {
        ("over-quota", "sft has 1 of easy, grounded-answer"), ("over-quota", "sft has 1 of easy, worked-solution"),
        ("over-quota", "sft has 1 of hard, grounded-answer"),
    }  # fmt: skip


def test_a_quota_of_one_part_leaves_the_others_alone_and_every_quota_is_met():
    records = [*many(4), *many(4, category="skills", node="skills/pour")]
    settings = quotas({"category": "knowledge", "at_most": 2}, {"at_most": 5}, {"dataset": "preferences", "at_most": 0})
    kept = mix({"sft": records}, settings.model_copy(update={"near_duplicates": None})).records["sft"]
    categories = [record.category for record in kept if isinstance(record, SFTExample)]
    assert len(categories) == 5
    assert categories.count("knowledge") <= 2


def test_what_a_quota_leaves_room_for_comes_from_as_many_passages_as_can_be():
    elsewhere = [sft(50 + n, f"Another thing, {n} of them", section=f"{SECTION}{n}") for n in range(3)]
    kept = mix({"sft": [*many(20), *elsewhere]}, quotas({"at_most": 4})).records["sft"]
    assert {record.section for record in kept if isinstance(record, SFTExample)} == {SECTION, *(one.section for one in elsewhere)}


def test_a_share_is_one_of_what_is_used_and_what_is_asked_for_comes_first():
    records = [*many(10), *[sft(60 + n, f"Pour number {n}, cup {n * 5}", category="skills", node="skills/pour") for n in range(2)]]
    half = mix({"sft": records}, quotas({"category": "knowledge", "at_most_share": 0.5}))
    assert [record.category for record in half.records["sft"] if isinstance(record, SFTExample)].count("skills") == 2
    assert len(half.records["sft"]) == 4
    assert {reject.detail for reject in half.left_out["sft"]} == {"sft has 2 of knowledge"}
    few = mix({"sft": records}, quotas({"at_most": 3}, {"category": "skills", "at_least": 2}))
    assert [record.category for record in few.records["sft"] if isinstance(record, SFTExample)].count("skills") == 2


def test_parts_are_told_apart_by_domain_and_style_in_every_dataset_that_has_them():
    records = [*many(2, domain="pots", style="how-to"), *[sft(60 + n, f"Cup {n * 5}", domain="cups", style="warning") for n in range(3)]]
    one = mix({"sft": records}, quotas({"domain": "*", "at_most": 1}))
    assert sorted(record.domain for record in one.records["sft"] if isinstance(record, SFTExample)) == ["cups", "pots"]
    pairs = [pair(1, difficulty="hard", style="warning"), pair(2, difficulty="easy", style="warning"), pair(3)]
    kept = mix({"preferences": pairs}, quotas({"dataset": "preferences", "style": "*", "at_most": 1})).records["preferences"]
    assert len(kept) == 2


DRAWN = st.lists(
    st.builds(
        lambda number, category, difficulty, section: sft(
            number, f"question {number} of {number * 31}", category=category, difficulty=difficulty, section=f"{SECTION}{section}"
        ),
        st.integers(100, 999), st.sampled_from(["knowledge", "skills", "behavioral"]), st.sampled_from(["easy", "hard"]), st.integers(0, 3),
    ),
    max_size=25, unique_by=lambda record: record.id,
)  # fmt: skip
LIMITS = st.lists(
    st.fixed_dictionaries(
        {"at_most_share": st.sampled_from([0.4, 0.5, 0.7])} | {"at_most": st.integers(5, 12)},
        optional={"category": st.sampled_from(["knowledge", "*"]), "difficulty": st.sampled_from(["easy", "*"])},
    ),
    max_size=3,
)


def equal_share(records: list[SFTExample], quota: Quota) -> float:
    """The share that parts of one size have; 0 where some records are of no part."""
    parts = [
        tuple(None if want is None else value for want, value in ((quota.category, one.category), (quota.difficulty, one.difficulty)))
        for one in records
        if quota.category in (None, "*", one.category) and quota.difficulty in (None, "*", one.difficulty)
    ]
    return 1 / len(set(parts)) if parts and len(parts) == len(records) else 0.0


@settings(max_examples=60, deadline=None)
@given(records=DRAWN, limits=LIMITS, seed=st.integers(0, 99))
def test_no_part_has_more_than_can_be_of_it_nothing_gets_lost_and_order_makes_no_difference(records, limits, seed):
    asked_for = tuple(Quota.model_validate(one) for one in limits)
    settings_drawn = Mix.model_construct(near_duplicates=0.9, quotas=asked_for)
    mixed = mix({"sft": records}, settings_drawn)
    kept = [record for record in mixed.records["sft"] if isinstance(record, SFTExample)]
    for quota in asked_for:
        for category in [quota.category] if quota.category != "*" else ["knowledge", "skills", "behavioral"]:
            for difficulty in [quota.difficulty] if quota.difficulty != "*" else ["easy", "hard"]:
                part = [one for one in kept if category in (None, one.category) and difficulty in (None, one.difficulty)]
                assert quota.at_most is not None
                assert quota.at_most_share is not None
                assert len(part) <= quota.at_most
                if len(asked_for) == 1:
                    assert len(part) <= max(quota.at_most_share, equal_share(records, quota)) * len(kept) + 1e-9
    assert bool(kept) == bool(records)
    assert len(kept) + len(mixed.left_out["sft"]) == len(records)
    assert mixed == mix({"sft": random.Random(seed).sample(records, len(records))}, settings_drawn)


EVERY_HALF = quotas({"domain": "*", "at_most_share": 0.5})


def test_a_share_that_one_part_alone_can_not_meet_leaves_everything_and_is_named():
    records = many(10, domain="pots")
    mixed = mix({"sft": records}, EVERY_HALF)
    assert len(mixed.records["sft"]) == 10
    assert [str(one) for one in excesses(mixed.records, EVERY_HALF)] == ["pots: 10 of 10, where 50% may be"]
    two = mix({"sft": [*records, *[sft(60 + n, f"Cup {n * 5}", domain="cups") for n in range(4)]]}, EVERY_HALF)
    assert Counter(record.domain for record in two.records["sft"] if isinstance(record, SFTExample)) == {"pots": 4, "cups": 4}
    assert excesses(two.records, EVERY_HALF) == []


def test_a_share_smaller_than_an_equal_one_counts_as_an_equal_one():
    records = [
        sft(100 * part + n, f"Cup {part} number {n * 7}", node=f"knowledge/{part}")
        for part, count in ((1, 9), (2, 5), (3, 6))
        for n in range(count)
    ]
    wanted = quotas({"node": "*", "at_most_share": 0.33})
    kept = mix({"sft": records}, wanted).records["sft"]
    assert Counter(record.node for record in kept if isinstance(record, SFTExample)) == {f"knowledge/{part}": 5 for part in (1, 2, 3)}
    assert [one.records for one in excesses({"sft": kept}, wanted)] == [5, 5, 5]


def test_of_shares_that_leave_nothing_together_the_last_is_set_aside():
    records = [*many(6), *[sft(60 + n, f"Cup {n * 5}", category="skills", difficulty="hard") for n in range(6)]]
    together = quotas({"category": "knowledge", "at_most_share": 0.4}, {"difficulty": "hard", "at_most_share": 0.5})
    mixed = mix({"sft": records}, together)
    assert Counter(record.category for record in mixed.records["sft"] if isinstance(record, SFTExample)) == {"skills": 6, "knowledge": 4}
    assert [str(one) for one in excesses(mixed.records, together)] == ["hard: 6 of 10, where 50% may be"]


def test_what_asks_the_same_as_a_record_left_out_for_its_share_is_used_in_its_place():
    records = [*many(3, domain="pots"), sft(1, LONG, domain="pots"), sft(3, f"{LONG}?", domain="cups")]
    kept = mix({"sft": records}, EVERY_HALF).records["sft"]
    assert Counter(record.domain for record in kept if isinstance(record, SFTExample)) == {"pots": 1, "cups": 1}


def test_prompts_are_compared_once_however_slowly_a_share_comes_down_to_what_can_be(monkeypatch):
    made: list[AlikeIndex] = []

    class Index(AlikeIndex):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr("castalia.quality.mix.AlikeIndex", Index)
    records = [sft(n, f"question {n} of {n * 31}", node=f"knowledge/{n % 3}" if n else "") for n in range(1000)]
    kept = mix({"sft": records}, quotas({"node": "*", "at_most_share": 0.33})).records["sft"]
    assert Counter(record.node for record in kept if isinstance(record, SFTExample)) == {"": 1, **{f"knowledge/{n}": 33 for n in range(3)}}
    assert len(made) == 1


def test_the_choice_does_not_depend_on_the_order_of_the_records():
    records = [*TWICE, *many(20)]
    shuffled = random.Random(3).sample(records, len(records))
    assert mix({"sft": records}, quotas({"at_most": 9})) == mix({"sft": shuffled}, quotas({"at_most": 9}))


def test_parts_with_fewer_records_than_wanted_are_named_also_those_without_any():
    nodes = [node("knowledge/tea"), node("knowledge/cups")]
    wanted = quotas({"node": "*", "at_least": 2}, {"kind": "agent-trace", "at_least": 1})
    assert [str(one) for one in shortages({"sft": many(3)}, wanted, nodes)] == ["knowledge/cups: 0 of 2", "agent-trace: 0 of 1"]
    assert shortages({"sft": many(3)}, quotas({"node": "knowledge/tea", "difficulty": "easy", "at_least": 3}), nodes) == []


def test_of_a_share_so_many_are_missing_that_adding_them_meets_it():
    records = [*many(6), *[sft(60 + n, f"Cup {n * 5}", category="skills", node="skills/pour") for n in range(2)]]
    [short] = shortages({"sft": records}, quotas({"category": "skills", "at_least_share": 0.4}), [])
    assert str(short) == "skills: 2 of 4"
    enough = [*records, *[sft(70 + n, f"Pot {n * 5}", category="skills", node="skills/pour") for n in range(2)]]
    assert shortages({"sft": enough}, quotas({"category": "skills", "at_least_share": 0.4}), []) == []


@pytest.mark.parametrize(
    "exclusive",
    [
        [{"category": "skills", "at_least": 5}, {"at_most": 4}],
        [{"category": "*", "at_least": 5}, {"at_most": 19}],
        [{"category": "skills", "at_least": 3}, {"category": "knowledge", "at_least": 3}, {"at_most": 5}],
        [{"node": "skills/pour", "at_least": 3}, {"category": "skills", "at_most": 2}],
        [{"category": "skills", "difficulty": "hard", "at_least": 3}, {"difficulty": "*", "at_most": 2}],
        [{"style": "warning", "at_least_share": 0.6}, {"style": "how-to", "at_least_share": 0.5}],
        [{"domain": "cups", "at_least_share": 0.4}, {"domain": "*", "at_most_share": 0.3}],
        [{"category": "skills", "at_least": 6}, {"category": "skills", "at_most_share": 0.5}, {"at_most": 10}],
        [
            {"difficulty": "easy", "at_most_share": 0.3},
            {"difficulty": "medium", "at_most_share": 0.3},
            {"difficulty": "hard", "at_most_share": 0.3},
        ],
    ],
)
def test_quotas_that_no_records_can_meet_are_refused_and_all_of_them_named(tmp_path, exclusive):
    with pytest.raises(ConfigError, match="exclude each other") as refused:
        load_config([configuration(tmp_path, mix={"quotas": exclusive})])
    assert all(
        f"({Quota.model_validate(one)})" in str(refused.value) for one in exclusive if set(one) != {"at_most"} or len(exclusive) == 2
    )
    other = [{**one, "dataset": "rewards"} if number == 0 else one for number, one in enumerate(exclusive)]
    assert load_config([configuration(tmp_path, mix={"quotas": other})]).mix.quotas


def test_a_limit_that_leaves_a_part_of_the_whole_without_a_place_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"4 parts of at most 20% are 80% of all"):
        load_config([configuration(tmp_path, mix={"quotas": [{"category": "*", "at_most_share": 0.2}]})])


def test_a_record_that_people_rejected_takes_no_place_from_one_that_asks_the_same():
    verdicts = [passed(record, "sft") for record in TWICE]
    [out] = mix({"sft": TWICE}, Mix()).stops
    used = accept({"sft": TWICE}, verdicts)
    assert used.kept_out == {("sft", 7, "mix", "near-duplicate-prompt"): 1}
    twin = next(record for record in TWICE[:2] if record.id != out)
    failed = [passed(record, "sft", outcome="fail" if record.id == twin.id else "pass") for record in TWICE]
    assert out in {record.id for record in accept({"sft": TWICE}, failed).records["sft"]}


def doubled(folder: Path, **settings: Any) -> Workspace:
    """The small world with two more examples, of which one asks what another one asks."""
    records = [sft(1), *(sft(3 + n, text) for n, text in enumerate((LONG, f"{LONG}?")))]
    others = world(folder / "a").store.read_dataset("verdicts", Verdict)
    kept = [verdict for verdict in others if verdict.dataset != "sft"]
    workspace = world(folder / "b", changes={"sft": records, "verdicts": [*kept, *(passed(one, "sft") for one in records)]}, **settings)
    put(workspace.store, "taxonomy", TaxonomyNode, [node("knowledge/tea")])
    settle(workspace)
    return workspace


def test_funnel_coverage_and_release_agree_on_what_is_left_out(tmp_path, capsys):
    workspace = doubled(tmp_path)
    row = next(row for row in funnel(workspace, passed_records(workspace)) if row.dataset == "sft")
    assert (row.records, row.standing[-1], row.left_out, row.accepted) == (3, 3, 1, 2)
    assert dict(row.stopped) == {"7 mix near-duplicate-prompt": 1}
    assert coverage(workspace, passed_records(workspace))[0].accepted["sft"] == 2
    release = make_release(workspace)
    assert (release.records["sft"], release.kept_out) == (2, 1)
    [left] = [json.loads(line) for line in (release.folder / "left_out.jsonl").read_text().splitlines()]
    assert left["reason"] == "near-duplicate-prompt"
    assert json.loads((release.folder / "balance.json").read_bytes())["sft"]["left_out"] == {"near-duplicate-prompt": 1}
    assert json.loads((release.folder / "config.json").read_bytes())["mix"] == {"near_duplicates": 0.9, "quotas": []}
    assert "| sft | 7 | mix | near-duplicate-prompt | 1 |" in (release.folder / "README.md").read_text()


def test_the_balance_page_names_what_is_short(tmp_path, monkeypatch, capsys):
    doubled(tmp_path, mix={"quotas": [{"kind": "agent-trace", "at_least": 1}, {"at_most": 1}]})
    monkeypatch.chdir(tmp_path / "b")
    assert main(["show", "balance"]) == 0
    shown = capsys.readouterr().out
    assert "* sft: left out by the mix: 2 over-quota" in shown or "1 near-duplicate-prompt, 1 over-quota" in shown
    assert "* sft: fewer than its quota, agent-trace: 0 of 1" in shown


@pytest.mark.parametrize(
    ("quota", "said"),
    [
        ({"category": "knowlege", "at_most": 1}, "'knowlege' is not among"),
        ({"kind": "agent_trace", "at_most": 1}, "'agent_trace' is not among"),
        ({"dataset": "replay", "difficulty": "easy", "at_most": 1}, "its records have none"),
        ({"style": "tutorial", "at_most": 1}, "'tutorial' is not among"),
        ({"at_most": 0.3}, "0.3 is no number of records; a share of the dataset is `at_most_share`"),
        ({"at_most_share": 0.2, "at_least_share": 0.3}, "can't be met"),
        ({"category": "knowledge"}, "a quota needs `at_most`, `at_least`, `at_most_share` or `at_least_share`"),
        ({"at_least": 3, "at_most": 2}, "can't be met"),
        ({"catgory": "knowledge", "at_most": 1}, "did you mean 'category'"),
    ],
)
def test_a_quota_that_can_not_be_meant_is_refused_by_name(tmp_path, quota, said):
    path = configuration(tmp_path, mix={"quotas": [quota]})
    with pytest.raises(ConfigError, match=r"mix\.quotas\.0") as refused:
        load_config([path])
    assert said in str(refused.value)
