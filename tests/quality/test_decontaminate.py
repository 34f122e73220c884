"""The decontamination stage: what is too close to GATE or VAULT is found, and the item itself is not repeated."""

import asyncio

from castalia.engine import run_pipeline
from castalia.evaluation import decontaminate
from castalia.records import Leak, PreferencePair, Record, ReplayItem, RewardRecord, SFTExample, SuiteItem, ask_user
from castalia.store import open_store
from small_world import item, pair, put, replay, reward, said, sft

QUESTION = "A pot of white tea from the Fujian hills is to be served to four guests: for how many minutes shall it steep, and why?"


def asked(bank: str) -> SuiteItem:
    return item(bank).model_copy(update={"prompt": ask_user(QUESTION)})


def leaks(folder, example: SFTExample, suite: list[SuiteItem], preference: PreferencePair | None = None) -> list[Leak]:
    store = open_store(folder / "store")
    data: list[tuple[str, type[Record], list]] = [
        ("suite", SuiteItem, suite), ("sft", SFTExample, [example]), ("preferences", PreferencePair, [preference or pair()]),
        ("rewards", RewardRecord, [reward()]), ("replay", ReplayItem, [replay()]),
    ]  # fmt: skip
    for name, record_type, records in data:
        put(store, name, record_type, records)
    asyncio.run(run_pipeline([decontaminate.STAGE], store=store, params={}, workers=0))
    return list(store.read_dataset("leaks", Leak))


def test_a_gate_question_among_the_training_data_is_found_and_only_named(tmp_path):
    example = sft(conversation=said(QUESTION, "Three minutes."))
    [leak] = leaks(tmp_path, example, [asked("gate")])
    assert (leak.record, leak.dataset, leak.bank, leak.item) == (example.id, "sft", "gate", asked("gate").id)
    assert leak.provenance.parents == (example.id, asked("gate").id)
    assert "Fujian" not in leak.model_dump_json()


def test_a_question_in_a_later_turn_is_found_too(tmp_path):
    turns = (*said("Hello.", "Good day.").messages, *said(f"So tell me. {QUESTION}", "Three.").messages)
    example = sft(conversation=said("x", "y").model_copy(update={"messages": turns}))
    assert [leak.bank for leak in leaks(tmp_path, example, [asked("vault")])] == ["vault"]


def test_dev_questions_may_be_practised_and_other_questions_are_no_leaks(tmp_path):
    other = item("gate").model_copy(update={"prompt": ask_user("Which cups keep oolong hot?"), "reference": "Clay cups."})
    assert leaks(tmp_path, sft(conversation=said(QUESTION, "Three minutes.")), [asked("dev"), other]) == []


def test_the_rejected_answer_of_a_pair_is_read_too(tmp_path):
    preference = pair(rejected=f"You may ask: {QUESTION}")
    [leak] = leaks(tmp_path, sft(), [asked("gate")], preference)
    assert (leak.record, leak.dataset) == (preference.id, "preferences")
