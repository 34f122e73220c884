"""The quality stage through the engine: order of the layers, verdicts as provenance, missing recordings, the queue for people."""

import asyncio
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from castalia.engine import run_pipeline
from castalia.errors import AnswerUnusable, BudgetReached, ConfigError, MissingRecording, RequestRejected
from castalia.oracle import Reply
from castalia.quality import verify
from castalia.quality.check import Finding, GroupCheck, PluginCheck, RecordCheck
from castalia.quality.checks.judge import ask_judge
from castalia.quality.checks.policy import POLICY
from castalia.quality.layers import LAYERS, layers_with
from castalia.quality.review import FLOOR, UNIFORM_SHARE, review_queue, stratum
from castalia.quality.verify import VerifyParams
from castalia.quality.view import MOST_PER_QUESTION, view_record
from castalia.records import (
    LONGEST_REASON,
    Document,
    Leak,
    PreferencePair,
    Provenance,
    Record,
    ReplayItem,
    ReviewItem,
    RewardRecord,
    SFTExample,
    Verdict,
)  # fmt: skip
from castalia.store import Store, open_store
from small_world import SECTION, document, evidence, page, pair, passed, put, replay, reward, sft

OTHER = document(page("other.html"), ("Other", "Green tea is steeped for two minutes, says the tea board of Kyoto."))


class Panel:
    """A judge for all layers: passes every record shown, but for the labels it is told to fail and canaries that are wrong; asks are
    remembered."""

    def __init__(
        self, fails: tuple[str, ...] = (), missing: tuple[str, ...] = (), error: Exception | None = None, silent: tuple[str, ...] = ()
    ):
        self.fails, self.missing, self.error, self.silent = fails, missing, error, silent
        self.asked: list[tuple[str, str]] = []
        self.shown: dict[str, str] = {}

    async def ask(self, role, system, user, answer, *, task, sample=0):
        assert role == "judge"
        self.asked.append((task.prompt, task.subject))
        self.shown[task.prompt] = self.shown.get(task.prompt, "") + user
        if self.error and task.prompt == "facts":
            raise self.error
        if task.prompt in self.missing:
            raise MissingRecording(f"no answer for {task.prompt!r} about {task.subject!r}")
        labels = "nobody" if task.prompt in self.silent else user.split("each of: ")[-1].rstrip(".")
        wrong = task.subject.startswith(("canary/" + task.prompt + "/bad/", "canary/" + task.prompt + "/injected/"))
        if task.prompt == "facts":
            claim = {
                "claim": "Two minutes.",
                "verdict": "refuted" if wrong else "supported",
                "passages": ["other.html:1"],
                "quotes": ["two minutes"],
            }
            value: Any = {"records": [{"record": label, "claims": [claim]} for label in labels.split(", ")]}
        else:
            blocks = ["brew.html:1"] if task.prompt == "consistency" and "brew.html:1" in user else []
            value = {
                "verdicts": [
                    {"record": label, "outcome": "fail" if wrong or label in self.fails else "pass", "reason": "P3: seen", "blocks": blocks}
                    for label in labels.split(", ")
                ]
            }
        return Reply(answer.model_validate(value), f"call-{task.prompt}-{task.subject}", b"")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def fill(store: Store, sft_records: list[SFTExample], leaks: list[Leak] | None = None) -> None:
    data: list[tuple[str, type[Record], list[Any]]] = [
        ("documents", Document, [document(), OTHER]), ("sft", SFTExample, sft_records), ("preferences", PreferencePair, [pair()]),
        ("rewards", RewardRecord, [reward()]), ("replay", ReplayItem, [replay()]), ("leaks", Leak, leaks or []),
    ]  # fmt: skip
    for name, record_type, records in data:
        put(store, name, record_type, records)


def check(store: Store, judge: Panel, params: dict[str, Any] | None = None) -> dict[str, list[Verdict]]:
    """Runs the stage and returns the verdicts by record."""
    asyncio.run(
        run_pipeline(
            [verify.STAGE], store=store, params=params or {}, oracle=judge, role_identity=lambda role, prompts: {"model": "panel"}, workers=0  # type: ignore[arg-type]
        )
    )  # fmt: skip
    found: dict[str, list[Verdict]] = {}
    for verdict in store.read_dataset("verdicts", Verdict):
        found.setdefault(verdict.record, []).append(verdict)
    return found


def test_a_sound_record_passes_every_layer_that_concerns_it(store):
    fill(store, [sft()])
    verdicts = check(store, Panel())
    by_check = {verdict.check: (verdict.layer, verdict.outcome) for verdict in verdicts[sft().id]}
    assert by_check == {
        "harmony": (1, "pass"), "evidence": (1, "pass"), "names": (1, "pass"), "lengths": (1, "pass"), "encoding": (1, "pass"), "secrets": (1, "pass"),
        "personal-data": (1, "pass"),
        "duplicate-prompt": (1, "pass"), "contamination": (1, "pass"), "consistency": (2, "pass"), "facts": (3, "pass"),
        "licence": (5, "pass"), "policy": (5, "pass"),
    }  # fmt: skip
    assert set(verdicts) == {record.id for record in (sft(), pair(), reward(), replay())}


def test_verdicts_carry_the_record_and_the_call_behind_them(store):
    fill(store, [sft()])
    [verdict] = [v for v in check(store, Panel())[sft().id] if v.check == "consistency"]
    assert verdict.provenance.parents == (sft().id,)
    assert verdict.provenance.calls == (f"call-consistency-{SECTION}",)


def test_a_reason_is_stored_in_brief_however_much_a_judge_or_a_plug_in_writes(store, monkeypatch):
    def talks(view: Any, ctx: Any) -> Finding:
        return Finding("flag", "P3: " + "so it is. " * 100_000)

    class Talker(Panel):
        async def ask(self, *arguments: Any, task: Any, **more: Any):
            reply = await super().ask(*arguments, task=task, **more)
            for verdict in getattr(reply.value, "verdicts", ()):
                verdict.reason += "!" * 1_000_000
            return reply

    plugin = PluginCheck(1, RecordCheck("talks", talks))
    monkeypatch.setattr("castalia.quality.layers.load_plugin", lambda group, name: plugin)
    monkeypatch.setattr("castalia.quality.verify.plugin_identity", lambda group, name: name)
    fill(store, [sft()])
    found = check(store, Talker(), {"verify": VerifyParams(plugin_checks=("talks",))})[sft().id]
    reasons = {verdict.check: verdict.reason for verdict in found}
    for name, begins in (("talks", "P3: so it is. so it is."), ("consistency", "P3: seen!!!"), ("policy", "P3: seen!!!")):
        assert reasons[name].startswith(begins) and reasons[name].endswith("…")
        assert len(reasons[name]) == LONGEST_REASON
    assert reasons["harmony"][-1] != "…"


def test_what_fails_the_first_layer_is_never_shown_to_a_judge(store):
    broken = sft(1, question="A broken question?", evidence=(evidence(None, 77),))
    fill(store, [broken, sft(2)])
    judge = Panel()
    verdicts = check(store, judge)
    assert {v.layer for v in verdicts[broken.id]} == {1}
    assert all("A broken question?" not in shown for shown in judge.shown.values())


def test_what_a_judge_fails_is_not_paid_for_in_later_layers(store):
    fill(store, [sft()])
    judge = Panel(fails=("sft:sft/1",))
    verdicts = check(store, judge)
    assert {v.check for v in verdicts[sft().id] if v.layer > 1} == {"consistency"}
    assert "sft:sft/1" not in judge.shown["facts"] + judge.shown["policy"]


def test_what_is_under_no_licence_is_not_shown_to_the_judge_of_its_layer(store):
    closed = document(page("closed.html", verdict="not-allowed", spdx=None))
    fill(store, [sft(), sft(2, question="Is this one closed?", evidence=(evidence(closed),))])
    put(store, "documents", Document, [document(), OTHER, closed])
    judge = Panel()
    outcomes = [(v.check, v.outcome) for found in check(store, judge).values() for v in found if v.layer == 5 and v.dataset == "sft"]
    assert sorted(outcomes) == [("licence", "fail"), ("licence", "pass"), ("policy", "pass")]
    assert "Is this one closed?" in judge.shown["consistency"]
    assert "Is this one closed?" not in judge.shown["policy"]


def test_every_program_of_a_layer_looks_at_a_record_that_one_of_them_stops(store):
    fill(store, [sft(evidence=(evidence(None, 77),), answer="two\x00minutes")])
    failed = {v.check for found in check(store, Panel()).values() for v in found if v.outcome == "fail"}
    assert failed == {"evidence", "encoding"}


@pytest.mark.parametrize("name", ["max_characters", "passages_per_record", "review_size", "max_claims", "hits_per_claim", "least_sources"])
def test_counts_begin_at_one(name: str):
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        VerifyParams.model_validate({name: 0})


def test_one_passage_is_asked_about_once_for_all_its_records(store):
    fill(store, [sft(1), sft(2, question="And black tea?")])
    judge = Panel()
    check(store, judge)
    assert judge.asked.count(("consistency", SECTION)) == 1
    assert judge.asked.count(("consistency", "replay/knowledge")) == 1


def test_a_group_too_long_for_one_question_is_asked_about_in_parts(store):
    fill(store, [sft(number, question=f"Question {number}?") for number in range(MOST_PER_QUESTION + 1)])
    judge = Panel()
    verdicts = check(store, judge)
    assert {subject for prompt, subject in judge.asked if prompt == "consistency"} >= {SECTION, f"{SECTION}~2"}
    assert {v.outcome for found in verdicts.values() for v in found if v.check == "consistency"} == {"pass"}


def test_a_plug_in_may_bring_a_judge_with_a_prompt_of_its_own(store, tmp_path, monkeypatch):
    prompt = tmp_path / "tone.md"
    prompt.write_text("## System\nYou know manners.\n## User\nJudge each of: {{ records | map(attribute='label') | join(', ') }}.\n")

    async def tone(views, ctx):
        return await ask_judge("tone", views, ctx, sources={}, needs_block=False)

    plugin = PluginCheck(5, GroupCheck("tone", tone, applies=lambda view: view.dataset == "sft", prompt=prompt))
    monkeypatch.setattr("castalia.quality.layers.load_plugin", lambda group, name: plugin)
    monkeypatch.setattr("castalia.quality.verify.plugin_identity", lambda group, name: name)
    fill(store, [sft()])
    verdicts = check(store, Panel(), {"verify": VerifyParams(plugin_checks=("tone",))})
    assert {v.check: (v.layer, v.outcome) for v in verdicts[sft().id]}["tone"] == (5, "pass")


PROMPT = POLICY.prompt


def broken_check(*arguments: Any) -> Any:
    raise KeyError("colour")


async def broken_judge(*arguments: Any) -> Any:
    raise ValueError("no such record")


async def judge_in_vain(*arguments: Any) -> Any:
    raise AnswerUnusable("not what was asked, also after repairs")


async def judge_of_too_much(*arguments: Any) -> Any:
    raise RequestRejected("too long for the model")


async def judge_of_none(*arguments: Any) -> Any:
    return {}


async def judge_of_a_list(views: Any, ctx: Any) -> Any:
    return [Finding("pass", "all of them")]


async def judge_of_nonsense(views: Any, ctx: Any) -> Any:
    return {view.label: "fine" for view in views}


def always(view: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("made", "outcome", "words"),
    [
        (RecordCheck("own", broken_check), "waiting", "KeyError: 'colour'"),
        (RecordCheck("own", lambda view, ctx: Finding("fine", "so it is")), "waiting", "no Finding"),  # type: ignore[arg-type]
        (GroupCheck("own", broken_judge, always, PROMPT), "waiting", "no such record"),
        (GroupCheck("own", judge_in_vain, always, PROMPT), "abstain", "not what was asked"),
        (GroupCheck("own", judge_of_too_much, always, PROMPT), "abstain", "too long for the model"),
        (GroupCheck("own", judge_of_nonsense, broken_check, PROMPT), "waiting", "KeyError"),
        (GroupCheck("own", judge_of_nonsense, always, PROMPT), "waiting", "no Finding"),
        (GroupCheck("own", judge_of_a_list, always, PROMPT), "waiting", "no Finding"),
        (GroupCheck("own", judge_of_none, always, PROMPT), "abstain", "no finding"),
    ],
)
def test_a_plug_in_that_breaks_lets_nothing_through_and_stops_nothing(store, monkeypatch, made: Any, outcome: str, words: str):
    monkeypatch.setattr("castalia.quality.layers.load_plugin", lambda group, name: PluginCheck(5, made))
    monkeypatch.setattr("castalia.quality.verify.plugin_identity", lambda group, name: "own 1.0")
    fill(store, [sft()])
    verdicts = check(store, Panel(), {"verify": VerifyParams(plugin_checks=("own",))})
    own = {v.check: v for v in verdicts[sft().id]}["own"]
    assert own.outcome == outcome
    assert words in own.reason
    assert {v.check for v in verdicts[sft().id]} >= {"consistency", "policy"}


def test_a_record_no_judge_gave_a_verdict_on_is_looked_at_by_the_layers_below_and_goes_to_people(store):
    fill(store, [sft()])
    verdicts = check(store, Panel(silent=("consistency",)))
    assert {v.check: v.outcome for v in verdicts[sft().id] if v.layer > 1} == {
        "consistency": "abstain", "facts": "pass", "licence": "pass", "policy": "pass",
    }  # fmt: skip
    assert {item.record: item.stratum for item in store.read_dataset("review_queue", ReviewItem)}[sft().id] == "undecided"


def test_two_records_under_one_label_are_both_undecided(store):
    fill(store, [sft(1), sft(1, question="And white tea?")])
    outcomes = [v.outcome for found in check(store, Panel()).values() for v in found if v.check == "consistency" and v.dataset == "sft"]
    assert outcomes == ["abstain", "abstain"]


def test_a_leaked_record_stays_in_the_first_layer(store):
    leak = Leak(record=sft().id, dataset="sft", item="item_1", bank="gate", method="exact", similarity=1.0)
    fill(store, [sft()], [leak])
    outcomes = {v.check: v.outcome for v in check(store, Panel())[sft().id]}
    assert outcomes["contamination"] == "fail"
    assert "consistency" not in outcomes


def test_missing_recordings_of_a_layer_are_counted_and_raised_together(store):
    fill(store, [sft()])
    judge = Panel(missing=("consistency",))
    with pytest.raises(MissingRecording, match="4 of 4 'consistency' verdicts have no recording"):
        check(store, judge)
    assert len(judge.asked) == 4
    assert not store.has("verdicts")


def test_any_other_stop_goes_through_and_nothing_is_published(store):
    fill(store, [sft()])
    with pytest.raises(BudgetReached, match="stop here"):
        check(store, Panel(error=BudgetReached("stop here")))
    assert not store.has("verdicts")


def test_six_layers_are_listed_in_order_and_each_asks_a_question():
    assert [layer.number for layer in LAYERS] == [1, 2, 3, 4, 5, 6]
    assert all(layer.question.endswith("?") for layer in LAYERS)


def test_without_plug_ins_the_layers_are_the_shipped_ones():
    assert layers_with(()) == LAYERS
    with pytest.raises(ConfigError, match="no plug-in 'nobody'"):
        layers_with(("nobody",))


# Layer 6


def views(count: int, category: str = "knowledge") -> list[Any]:
    return [view_record(sft(number, question=f"Question {number} {category}", category=category), "sft") for number in range(count)]


def said(layer: int, outcome: str) -> Verdict:
    """A verdict of the layer, by a judge where judges work."""
    calls = ("c" * 64,) if layer in (2, 3, 5) else ()
    return passed(sft(), "sft", layer=layer, outcome=outcome, provenance=Provenance(parents=(sft().id,), calls=calls))


@pytest.mark.parametrize(
    ("outcomes", "name"),
    [
        ([(1, "pass"), (2, "pass")], "agree-pass"),
        ([(1, "pass"), (2, "flag")], "flagged"),
        ([(2, "pass"), (5, "flag")], "policy-flag"),
        ([(2, "pass"), (4, "fail")], "proof-against-judge"),
        ([(1, "fail")], "agree-fail"),
        ([(2, "pass"), (5, "fail")], "disagree"),
        ([(2, "abstain")], "undecided"),
        ([(2, "pass"), (3, "abstain")], "undecided"),
        ([(2, "abstain"), (5, "fail")], "agree-fail"),
        ([(2, "pass"), (3, "waiting")], "disagree"),
        ([(2, "flag"), (5, "fail")], "disagree"),
        ([(2, "flag"), (4, "fail")], "proof-against-judge"),
        ([], "agree-pass"),
    ],
)
def test_records_are_sorted_by_how_the_verdicts_stand_to_each_other(outcomes: list[tuple[int, str]], name: str):
    assert stratum([said(layer, outcome) for layer, outcome in outcomes]) == name


def test_a_program_of_a_judges_layer_is_no_judge():
    licence = passed(sft(), "sft", layer=5, check="licence")
    assert stratum([licence, said(5, "fail")]) == "agree-fail"


def test_every_stratum_gets_at_least_its_floor():
    many, few = views(200), views(7, "skills")
    queue = review_queue([*many, *few], {}, size=20)
    assert Counter(item.category for item in queue)["skills"] >= FLOOR
    assert {item.record for item in review_queue(few[:3], {}, size=1)} == {view.record.id for view in few[:3]}


def test_records_without_a_verdict_are_all_drawn():
    some = views(200)
    verdicts = {view.record.id: [passed(view.record, "sft", layer=3, outcome="abstain")] for view in some[:60]}
    drawn = {item.record: item for item in review_queue(some, verdicts, size=10) if item.stratum == "undecided"}
    assert set(drawn) == {view.record.id for view in some[:60]}
    assert {item.inclusion_probability for item in drawn.values()} == {1.0}


def test_the_same_records_give_the_same_queue_in_whatever_order_they_come():
    some = views(60)
    assert {item.id for item in review_queue(some, {}, size=10)} == {item.id for item in review_queue(some[::-1], {}, size=10)}


def test_more_doubtful_strata_are_looked_at_more_closely():
    some = views(200)
    verdicts = {
        view.record.id: [said(2, "pass"), *([said(5, "fail")] if half else [])] for number, view in enumerate(some) for half in [number % 2]
    }
    queue = review_queue(some, verdicts, size=60)
    drawn = Counter(item.stratum for item in queue)
    assert drawn["disagree"] > 1.5 * drawn["agree-pass"]


def test_some_records_are_drawn_for_two_people():
    queue = review_queue(views(400), {}, size=400)
    assert 0.10 < sum(item.reviews == 2 for item in queue) / len(queue) < 0.20


def test_the_stated_probability_is_the_rate_at_which_records_are_drawn():
    drawn, stated, variance, total = 0, 0.0, 0.0, 0
    for batch in range(40):
        some = [view_record(sft(number, question=f"Batch {batch} question {number}"), "sft") for number in range(50)]
        queue = review_queue(some, {}, size=10)
        probability = queue[0].inclusion_probability
        assert {item.inclusion_probability for item in queue} == {probability}
        assert math.isclose(probability, 1 - (1 - 10 / 50) * (1 - UNIFORM_SHARE), abs_tol=1e-6)
        drawn, stated, total = drawn + len(queue), stated + 50 * probability, total + 50
        variance += 40 * UNIFORM_SHARE * (1 - UNIFORM_SHARE)  # only the uniform share of the 40 not taken is random
    assert abs(drawn - stated) < 4 * math.sqrt(variance)


def test_the_queue_waits_in_the_store_and_hides_nothing_of_how_it_was_drawn(store):
    fill(store, [sft()])
    verdicts = check(store, Panel())
    queue = {item.record: item for item in store.read_dataset("review_queue", ReviewItem)}
    assert set(queue) == set(verdicts)
    assert set(queue[sft().id].verdicts) == {verdict.id for verdict in verdicts[sft().id]}
    assert queue[sft().id].inclusion_probability == 1.0
