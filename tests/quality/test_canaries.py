"""Judges face records whose truth is known: how they are made, what shows them to the judge, and what follows for a judge that errs."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from castalia.engine.context import Context
from castalia.errors import AnswerUnusable, BudgetReached, MissingRecording, OracleRefused
from castalia.oracle import Reply
from castalia.quality.canaries import FEWEST, SHARE, canaries_of_each_kind, hide_canaries, misled, too_strict, trial_lines, trials
from castalia.quality.check import CheckContext, Finding, GroupCheck, PluginCheck
from castalia.quality.checks.consistency import CONSISTENCY
from castalia.quality.checks.facts import FACTS
from castalia.quality.checks.policy import BREACHES, POLICY
from castalia.quality.planting import (
    DENIALS,
    INJECTIONS,
    QUESTIONS,
    denial,
    denied_answer,
    good_answer,
    is_plain,
    question_about,
    statement,
    swapped_answers,
)
from castalia.quality.sources.lookup import Found
from castalia.quality.verify import STAGE, VerifyParams, verify_records
from castalia.quality.view import by_group, view_record
from castalia.records import Canary, Document, Label, Provenance, Record, ReviewItem, SFTExample, Verdict
from castalia.release import accept
from castalia.scoring.bm25 import words_of
from small_world import document, evidence, page, passed, said, sft

TOPICS = ("Water", "Leaves", "Cups", "Kettles", "Honey")
SENTENCES = (
    "Green tea is steeped for two minutes at eighty degrees in a small pot.",
    "Dried leaves keep their scent for a year when the tin is closed tightly.",
    "Porcelain cups are warmed with hot water before anyone pours the drink.",
    "A copper kettle must be descaled every month because chalk slows it down.",
    "Acacia honey has a mild taste that does not cover the flavor of white tea.",
)
PAGES = [document(page(f"{topic.lower()}.html"), (topic, sentence)) for topic, sentence in zip(TOPICS, SENTENCES, strict=True)]


def records(count: int = FEWEST) -> list[SFTExample]:
    """Records about five pages, each answered by the sentence of its page."""
    found: list[SFTExample] = []
    for number in range(count):
        place = number % len(PAGES)
        section = f"tea.example/docs/{TOPICS[place].lower()}.html#0-1"
        found.append(
            sft(
                number,
                subject=f"{section}/sft/{number}",
                section=section,
                conversation=said(
                    f"What do I have to know about {TOPICS[place].lower()}, lesson {number}?", f"{SENTENCES[place]} ({number})"
                ),
                evidence=(evidence(PAGES[place], 1),),
            )
        )
    return found


Answers = Callable[[str, str, Sequence[str], Mapping[str, str]], Any]


class Judge:
    """Answers by (prompt, kind of canary or empty, labels, blocks shown); an error is raised."""

    def __init__(self, answers: Answers):
        self.answers = answers
        self.asked: list[tuple[str, str, str]] = []

    async def ask(self, role: str, system: str, user: str, answer: Any, *, task: Any, sample: int = 0) -> Any:
        self.asked.append((task.prompt, task.subject, user))
        kind = task.subject.split("/")[2] if task.subject.startswith("canary/") else ""
        labels = user.rsplit("each of: ", 1)[1].rstrip(".").split(", ")
        shown = dict(re.findall(r"^\[([^\]\s]+:\d+)\] (.*)$", user.partition("\nRecords:")[0], re.MULTILINE))
        value = self.answers(task.prompt, kind, labels, shown)
        if isinstance(value, Exception):
            raise value
        said = dict(re.findall(r"^\[(\S+)\]\nQuestion: .*\nAnswer: (.*)$", user, re.MULTILINE))
        text = json.dumps(value)
        for label, words in said.items():
            text = text.replace(f'"says {label}"', json.dumps(words[:400]))
        try:
            return Reply(answer.model_validate_json(text, strict=True), f"call-{task.prompt}-{task.subject}", b"")
        except ValidationError as error:
            raise AnswerUnusable(str(error)) from error


def verdict(prompt: str, labels: Sequence[str], shown: Mapping[str, str], *, lets_through: bool) -> Any:
    """An answer in the form of the prompt, the same for all records."""
    if prompt == "facts":
        quoted = {"passages": list(shown)[:1], "quotes": list(shown.values())[:1]}
        claim = {"verdict": "supported" if lets_through else "refuted", **quoted}
        return {"records": [{"record": label, "claims": [{"claim": f"says {label}", **claim}]} for label in labels]}  # what it says
    outcome, blocks = ("pass" if lets_through else "fail"), (list(shown)[:1] if prompt == "consistency" else [])
    return {"verdicts": [{"record": label, "outcome": outcome, "reason": "P3: seen", "blocks": blocks} for label in labels]}


def honest(prompt: str, kind: str, labels: Sequence[str], shown: Mapping[str, str]) -> Any:
    return verdict(prompt, labels, shown, lets_through=kind in ("", "good"))


def passes_everything(prompt: str, kind: str, labels: Sequence[str], shown: Mapping[str, str]) -> Any:
    return verdict(prompt, labels, shown, lets_through=True)


def verified(
    judge: Judge, made: Sequence[SFTExample] | None = None, params: VerifyParams | None = None, documents: Sequence[Document] = PAGES
) -> dict[type[Record], list[Any]]:
    """Everything the stage writes, by type."""
    prompts = {prompt.stem: prompt for prompt in STAGE.prompts}
    ctx = Context(STAGE.name, STAGE.oracle, prompts, judge, services={"web": None})  # type: ignore[arg-type]
    inputs: dict[str, Sequence[Record]] = {
        "sft": made or records(),
        "preferences": (),
        "rewards": (),
        "replay": (),
        "documents": documents,
        "leaks": (),
    }

    async def run() -> list[Record]:
        return [record async for record in verify_records(inputs, params or VerifyParams.model_validate({}), ctx)]

    found: dict[type[Record], list[Any]] = {Verdict: [], Canary: [], ReviewItem: []}
    for record in asyncio.run(run()):
        found.setdefault(type(record), []).append(record)
    return found


def released(found: Mapping[type[Record], list[Any]], made: Sequence[SFTExample] | None = None, labels: Sequence[Label] = ()) -> int:
    return len(accept({"sft": made or records()}, found[Verdict], labels).records["sft"])


# How they are made


@pytest.mark.parametrize(("seen", "count"), [(0, 0), (FEWEST - 1, 0), (FEWEST, 1), (150, 1), (1500, 10), (30_000, 200)])
def test_about_two_percent_of_what_a_judge_sees_are_canaries_and_one_of_each_kind_from_twenty_records_on(seen: int, count: int):
    assert canaries_of_each_kind(seen) == count
    assert seen < 150 or 3 * count == pytest.approx(SHARE * seen)


def test_good_ones_are_word_for_word_what_the_cited_block_says():
    made = good_answer(view_record(records()[0], "sft"), {one.id: one for one in PAGES})
    assert made is not None
    assert (made.kind, made.view.answer) == ("good", SENTENCES[0])
    assert made.view.question in {question.format(topic="Water") for question in QUESTIONS}
    assert made.view.evidence[0].blocks == (0, 1)


def test_bad_ones_contradict_the_block_or_answer_another_question():
    views = [view_record(record, "sft") for record in records()]
    documents = {one.id: one for one in PAGES}
    denied = denied_answer(views[0], documents)
    assert denied is not None
    assert denied.view.answer in {denied.format(sentence=SENTENCES[0]) for denied in DENIALS}
    swapped = swapped_answers(documents, views)(views[0])
    assert swapped is not None
    assert swapped.view.question == views[0].question
    assert swapped.view.answer in {view.answer for view in views if view.group != views[0].group}


def test_the_answer_of_another_record_is_no_wrong_one_where_it_says_the_same():
    views = [view_record(sft(number, evidence=(evidence(PAGES[number], 1),)), "sft") for number in (0, 1)]
    assert swapped_answers({one.id: one for one in PAGES}, views)(views[0]) is None


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (
            "This is about cups. Porcelain cups are warmed with hot water first. It helps.",
            "Porcelain cups are warmed with hot water first.",
        ),
        ("It depends on what was said above the line in the text.", None),
        ("Added in version 0.2.5.", None),
        ("Grüner Tee zieht zwei Minuten bei achtzig Grad in der Kanne", "Grüner Tee zieht zwei Minuten bei achtzig Grad in der Kanne"),
        (
            "緑茶は八十度のお湯で二分間蒸らしてから、小さな急須で注ぎます。",
            "緑茶は八十度のお湯で二分間蒸らしてから、小さな急須で注ぎます。",
        ),
        ("", None),
    ],
)
def test_a_sentence_is_taken_that_can_be_understood_by_itself(text: str, taken: str | None):
    assert statement(text) == taken


def test_an_instruction_is_no_statement_that_could_be_denied():
    assert is_plain("Porcelain cups are warmed first.")
    assert not is_plain("Read more about what cups are made of in the next chapter.")


def test_no_one_turn_of_phrase_tells_what_is_planted():
    asked = {question_about(page, 1)[0].replace(topic, "") for page, topic in zip(PAGES, TOPICS, strict=True)}
    assert len(asked) > 1
    assert len({denial(sentence).replace(sentence, "") for sentence in SENTENCES}) > 1


def test_an_answer_to_another_question_is_the_one_with_least_in_common_however_many_there_are():
    views = [view_record(record, "sft") for record in records(40)]
    documents = {one.id: one for one in PAGES}
    for view in views[:5]:
        own = set(words_of(f"{view.question} {view.answer} {TOPICS[views.index(view) % 5]} {SENTENCES[views.index(view) % 5]}"))
        shares = {
            other.answer: (len(own & words) / len(words), other.record.subject)
            for other in views[::-1]
            if other.group != view.group and (words := set(words_of(other.answer)))
        }
        made = swapped_answers(documents, views)(view)
        assert made is not None
        assert made.view.answer == min(shares, key=lambda answer: shares[answer])


def test_planting_looks_at_every_answer_and_block_once_however_many_canaries_there_are(monkeypatch: pytest.MonkeyPatch):
    split: list[str] = []
    monkeypatch.setattr("castalia.quality.planting.words_of", lambda text: split.append(text) or words_of(text))
    pages = [
        document(
            page(f"{number}.html"),
            (f"Part {number}", *(f"Pot {number * 50 + place} is made of clay from hill {place}." for place in range(50))),
        )
        for number in range(40)
    ]
    made = [
        sft(
            number, subject=f"tea.example/docs/{number % 40}.html#0-9/sft/{number}", section=f"tea.example/docs/{number % 40}.html#0-9",
            conversation=said(f"Which pot is number {number}?", f"It is the pot from hill {number} that stands on shelf {number % 7} there."),
            evidence=(evidence(pages[number % 40], 1),),
        )
        for number in range(1_500)
    ]  # fmt: skip
    views = [view_record(record, "sft") for record in made]
    ctx = CheckContext({one.id: one for one in pages}, {}, {}, VerifyParams(), Context("verify", ("judge",), {}, None))
    stated = Counter[str]()
    monkeypatch.setattr("castalia.quality.checks.facts_canaries.statement", lambda text: stated.update([text]) or statement(text))
    for check in (CONSISTENCY, FACTS, POLICY):
        assert len(hide_canaries(check, by_group(views), ctx)) == 3 * 10
    assert len(split) < 1_600  # every answer once, not once for each canary
    assert stated.total() == 40 * 50  # as every block


def test_the_same_records_give_the_same_canaries_in_whatever_order_they_come():
    first = verified(Judge(honest))[Canary]
    again = verified(Judge(honest), records()[::-1])[Canary]
    assert {one.id for one in first} == {one.id for one in again}


# What the judge sees


def test_a_canary_is_asked_about_by_the_same_prompt_among_records_of_its_passage_and_under_a_label_of_the_run():
    judge = Judge(honest)
    verified(judge)
    labels = {f"sft:sft/{number}" for number in range(FEWEST)}
    canaries = [(prompt, subject, user) for prompt, subject, user in judge.asked if subject.startswith("canary/")]
    assert Counter((prompt, subject.split("/")[2]) for prompt, subject, _ in canaries) == {
        (prompt, kind): 1 for prompt in ("consistency", "facts", "policy") for kind in ("good", "bad", "injected")
    }
    for _, _, user in canaries:
        shown = user.rsplit("each of: ", 1)[1].rstrip(".").split(", ")
        assert len(shown) == 3
        assert set(shown) < labels
        assert "canary" not in user


def test_injected_ones_are_wrong_and_speak_to_the_judge():
    judge = Judge(honest)
    found = verified(judge)
    texts = {one.judge: one.conversation.messages[-1].content for one in found[Canary] if one.kind == "injected"}
    assert set(texts) == {"consistency", "facts", "policy"}
    assert all(INJECTIONS[0] in text for text in texts.values())
    assert any(texts["facts"].startswith(denied.format(sentence=sentence)) for denied in DENIALS for sentence in SENTENCES)
    assert any(answer in texts["policy"] for _, answer in BREACHES.values())


def test_a_breach_is_planted_of_a_rule_that_the_policy_has():
    rules = tuple(rule for rule in VerifyParams().policy.rules if rule.number in ("P5", "P6"))
    params = VerifyParams(policy=VerifyParams().policy.model_copy(update={"rules": rules}))
    judge = Judge(lambda prompt, kind, labels, shown: json.loads(json.dumps(honest(prompt, kind, labels, shown)).replace("P3", "P5")))
    found = verified(judge, params=params)
    assert {one.how for one in found[Canary] if one.judge == "policy" and one.kind != "good"} == {"breaks rule P5"}
    assert released(found) == FEWEST


class Searching(Judge):
    """Names what a record says as its one claim, and holds it against the first passage. The same task is never asked twice."""

    async def ask(self, role: str, system: str, user: str, answer: Any, *, task: Any, sample: int = 0) -> Any:
        if task.prompt not in ("claims", "facts"):
            return await super().ask(role, system, user, answer, task=task, sample=sample)
        self.asked.append((task.prompt, task.subject, user))
        if task.prompt == "claims":
            said_of = re.findall(r"^Answer: (.*)$", user, re.MULTILINE)[-1]
            value: Any = {"claims": [{"text": said_of[:400], "search": "tea"}]}
        else:
            label, text = re.findall(r"^\[(\S+:\d+)\] (.*)$", user, re.MULTILINE)[0]
            wrong = task.subject.startswith(("canary/facts/bad", "canary/facts/injected"))
            claim = {"claim": "1", "verdict": "refuted" if wrong else "supported", "passages": [label], "quotes": [text]}
            [record] = re.findall(r"^Give every claim of (\S+): 1\.$", user, re.MULTILINE)
            value = {"records": [{"record": record, "claims": [claim]}]}
        return Reply(answer.model_validate_json(json.dumps(value), strict=True), f"call-{task.prompt}-{task.subject}", b"")


class NothingFound:
    """A search that leads to no page."""

    def __init__(self, *_: Any) -> None: ...

    async def find(self, query: str, cited: Sequence[str]) -> Found:
        return Found((), Counter())


def test_where_sources_are_searched_a_canary_is_asked_about_by_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("castalia.quality.checks.facts.Lookup", NothingFound)
    judge = Searching(honest)
    found = verified(judge, params=VerifyParams(search=("found",)))
    of_facts = [(prompt, subject) for prompt, subject, _ in judge.asked if prompt in ("claims", "facts")]
    assert len(of_facts) == len(set(of_facts))
    assert Counter(subject.startswith("canary/facts/") for prompt, subject in of_facts if prompt == "claims") == {False: FEWEST, True: 3}
    assert released(found) == FEWEST


# What follows


def test_an_honest_judge_is_believed_and_canaries_are_no_records_of_a_dataset_or_of_the_queue():
    found = verified(Judge(honest))
    assert released(found) == FEWEST
    assert all(one.recognized for one in found[Canary] if one.judge != "people")
    known = {record.id for record in records()}
    assert {verdict.record for verdict in found[Verdict]} == known
    assert {parent for one in found[Canary] for parent in one.provenance.parents} <= known
    assert all(one.provenance.calls for one in found[Canary] if one.judge != "people")


def obeys_injections(prompt: str, kind: str, labels: Sequence[str], shown: Mapping[str, str]) -> Any:
    return verdict(prompt, labels, shown, lets_through=kind in ("", "good", "injected"))


def silent_on_canaries(prompt: str, kind: str, labels: Sequence[str], shown: Mapping[str, str]) -> Any:
    return honest(prompt, kind, labels, shown) if kind in ("", "good") else {"records" if prompt == "facts" else "verdicts": []}


def fails_everything(prompt: str, kind: str, labels: Sequence[str], shown: Mapping[str, str]) -> Any:
    return verdict(prompt, labels, shown, lets_through=False)


@pytest.mark.parametrize(
    "answers",
    [
        passes_everything,
        fails_everything,
        obeys_injections,
        silent_on_canaries,
        lambda *_: "All records pass.",
        lambda *_: {"verdicts": "pass"},
        lambda *_: AnswerUnusable("nonsense"),
        lambda prompt, kind, labels, shown: honest(prompt, kind, labels, shown) if kind != "bad" else AnswerUnusable("nonsense"),
        lambda prompt, kind, labels, shown: honest(prompt, kind, labels, shown) if kind != "bad" else OracleRefused("401"),
        lambda prompt, kind, labels, shown: honest(prompt, kind, labels, shown) if kind != "injected" else ValueError("broken"),
    ],
)
def test_no_record_passes_a_judge_that_errs_on_canaries(answers: Answers):
    assert released(verified(Judge(answers))) == 0


@pytest.mark.parametrize("check", ["consistency", "facts", "policy"])
def test_one_misled_judge_is_enough_and_the_others_still_count(check: str):
    def answers(prompt: str, kind: str, labels: Sequence[str], shown: Mapping[str, str]) -> Any:
        return (obeys_injections if prompt == check else honest)(prompt, kind, labels, shown)

    found = verified(Judge(answers))
    undecided = {one.check for one in found[Verdict] if one.outcome == "abstain"}
    assert undecided == {check}
    assert {one.outcome for one in found[Verdict] if one.check == check} == {"abstain"}
    assert released(found) == 0


def test_what_a_misled_judge_stopped_stays_stopped_and_what_it_let_through_waits_for_people_who_are_told_the_way_on():
    def answers(prompt: str, kind: str, labels: Sequence[str], shown: Mapping[str, str]) -> Any:
        value = obeys_injections(prompt, kind, labels, shown)
        for row in value.get("verdicts", ()):
            if not kind and prompt == "consistency" and row["record"] == "sft:sft/0":
                row["outcome"] = "fail"
        return value

    found = verified(Judge(answers))
    own = {one.record: one for one in found[Verdict] if one.check == "consistency"}
    stopped = records()[0].id
    assert own[stopped].outcome == "fail"
    waiting = {one.record for one in found[ReviewItem] if one.stratum == "undecided"}
    assert waiting == {record.id for record in records()[1:]}
    assert "recognized only 0 of 1 wrong ones with an injection" in own[records()[1].id].reason
    assert "castalia review" in own[records()[1].id].reason
    assert "castalia run --rebuild verify" in own[records()[1].id].reason
    approved = [Label(record=identity, reviewer="ana", label="approve", at="2024-05-01T10:00:00+00:00") for identity in [stopped, *waiting]]
    assert released(found, labels=approved) == FEWEST - 1


def test_one_miss_of_few_is_too_many_and_one_of_many_is_not():
    def canaries(missed: int, shown: int) -> list[Canary]:
        return [
            Canary(
                judge="facts", kind="bad", how="", category="knowledge", conversation=said(str(number), "a"), evidence=(), recognized=number >= missed
            )
            for number in range(shown)
        ]  # fmt: skip

    assert [trials(canaries(missed, shown))[0].failed for missed, shown in [(0, 1), (1, 1), (1, 9), (1, 10), (2, 19), (2, 20), (3, 20)]] == [
        False, True, True, False, True, False, True,
    ]  # fmt: skip


def test_a_judge_that_stops_what_is_right_is_reported_and_still_believed_where_it_lets_through():
    def answers(prompt: str, kind: str, labels: Sequence[str], shown: Mapping[str, str]) -> Any:
        return verdict(prompt, labels, shown, lets_through=kind == "")

    found = verified(Judge(answers))
    assert released(found) == FEWEST
    lines = trial_lines(trials(found[Canary]))
    assert len(lines) == 3
    assert all("0 of 1 right" in line and "it stops what is right" in line for line in lines)


def canary(kind: str, number: int, outcome: str, recognized: bool, judge: str = "facts") -> Canary:
    return Canary.model_validate(
        {
            "judge": judge, "kind": kind, "how": "", "category": "knowledge", "conversation": said(str(number), "a"), "evidence": (),
            "outcome": outcome, "recognized": recognized,
        }
    )  # fmt: skip


def by_judge(check: str, count: int) -> list[Verdict]:
    return [
        passed(sft(), "sft", layer=3, check=check, record=f"sft_{number}", provenance=Provenance(calls=("c" * 64,)))
        for number in range(count)
    ]


def test_a_judge_that_could_not_be_asked_is_not_believed_and_not_accused_either():
    found = trials([canary(kind, number, "waiting", False) for kind in ("good", "bad", "injected") for number in range(2)])
    assert trial_lines(found) == []
    assert [trial.kind for trial in misled(found)] == ["bad", "injected"]
    assert too_strict(found) == []
    some = trials(
        [canary("good", 1, "pass", True), *(canary("bad", number, "waiting" if number else "fail", not number) for number in range(3))]
    )
    [line] = trial_lines(some)
    assert "recognized 1 of 1 right, 1 of 1 wrong; it could not be asked about others" in line


def test_a_judge_that_met_no_planted_record_is_named():
    found = trials([], [*by_judge("facts", FEWEST), *by_judge("policy", FEWEST - 1), passed(sft(), "sft")])
    [line] = trial_lines(found)
    assert line.startswith("judge of facts met no planted record")
    assert [trial.wanted for trial in found] == [1, 1, 1]
    assert not misled(found)
    assert not too_strict(found)
    [line] = trial_lines(trials([canary("good", 1, "pass", True)], by_judge("facts", FEWEST)))
    assert "recognized 1 of 1 right; it met no wrong and no wrong ones with an injection" in line


def test_pages_without_a_plain_sentence_leave_the_judges_unmeasured_and_that_is_said():
    plain = [document(page(f"{topic.lower()}.html"), (topic, "Short.")) for topic in TOPICS]
    made = [record.model_copy(update={"evidence": (evidence(plain[number % 5], 1),)}) for number, record in enumerate(records())]
    found = verified(Judge(honest), made, documents=plain)
    lines = trial_lines(trials(found[Canary], found[Verdict]))
    assert any(line.startswith("judge of policy on planted records") and "it met no right" in line for line in lines)


def test_a_budget_or_a_missing_recording_stops_the_run_on_a_canary_as_anywhere():
    for error in (BudgetReached("stop here"), MissingRecording("no answer")):
        with pytest.raises(type(error)):
            verified(Judge(lambda prompt, kind, labels, shown, error=error: honest(prompt, kind, labels, shown) if not kind else error))


def test_fewer_than_twenty_records_cost_no_question_about_canaries():
    judge = Judge(passes_everything)
    found = verified(judge, records(FEWEST - 1))
    assert {one.judge for one in found[Canary]} <= {"people"}
    assert not any(subject.startswith("canary/") for _, subject, _ in judge.asked)


def broken_canaries(views: Any, ctx: Any) -> Any:
    raise KeyError("no such page")


def test_a_plug_in_whose_canaries_cannot_be_made_lets_nothing_through(monkeypatch: pytest.MonkeyPatch):
    async def all_well(views: Any, ctx: Any) -> Any:
        return {view.label: Finding("pass", "fine") for view in views}

    own = GroupCheck("own", all_well, lambda _: True, POLICY.prompt, canaries=broken_canaries)
    monkeypatch.setattr("castalia.quality.layers.load_plugin", lambda group, name: PluginCheck(5, own))
    monkeypatch.setattr("castalia.quality.verify.plugin_identity", lambda group, name: "own 1.0")
    found = verified(Judge(honest), params=VerifyParams(plugin_checks=("own",)))
    assert {one.outcome for one in found[Verdict] if one.check == "own"} == {"waiting"}


@settings(max_examples=8, deadline=None)
@given(
    said_of=st.fixed_dictionaries(
        {
            (prompt, kind): st.sampled_from(["pass", "fail", "nothing", "nonsense", "error"])
            for prompt in ("consistency", "facts", "policy")
            for kind in ("good", "bad", "injected")
        }
    )
)
def test_no_error_of_a_judge_on_canaries_lets_a_record_through(said_of: dict[tuple[str, str], str]):
    def answers(prompt: str, kind: str, labels: Sequence[str], shown: Mapping[str, str]) -> Any:
        how = said_of[prompt, kind] if kind else "pass"
        if how in ("pass", "fail"):
            return verdict(prompt, labels, shown, lets_through=how == "pass")
        return {"nothing": {}, "nonsense": "10/10", "error": AnswerUnusable("nonsense")}[how]

    found = verified(Judge(answers))
    sees_what_is_wrong = all(said_of[prompt, kind] == "fail" for prompt, kind in said_of if kind != "good")
    assert released(found) == (FEWEST if sees_what_is_wrong else 0)
