"""Layer 1, one record at a time: what passes, what fails, and why."""

import hashlib
import json
from typing import Any

import pytest
from checking import OTHER, look

from castalia.quality.check import RecordCheck
from castalia.quality.checks import schema
from castalia.quality.checks.policy import LICENCE
from castalia.quality.view import view_record
from castalia.records import Check, Conversation, Message, Record, Tool
from small_world import document, evidence, page, pair, replay, reward, said, sft, trace_example

TAIL = hashlib.sha256(b"of no account").hexdigest()
AWS_KEY = "AKIA" + "Q7ZD3WXM2KTR9VBN"


@pytest.mark.parametrize(
    ("check", "record"),
    [
        (schema.HARMONY, sft()),
        (schema.HARMONY, trace_example()),
        (schema.EVIDENCE, sft(evidence=(evidence(None, 1, 2, quote="two minutes"),))),
        (schema.LENGTHS, sft()),
        (schema.ENCODING, sft(answer="Zwei Minuten für Grüntee ☕\n\tfertig")),
        (schema.SECRETS, sft(answer="Use `sk-...` or AKIA in an example.")),
        (schema.CONTAMINATION, sft()),
        (LICENCE, sft()),
    ],
)
def test_a_sound_record_passes(check: RecordCheck, record: Any):
    assert look(check, record).outcome == "pass"


FLOW = Message(role="assistant", channel="final", content="Two.")


@pytest.mark.parametrize(
    ("check", "record", "words"),
    [
        (schema.HARMONY, sft(conversation=Conversation(messages=(Message(role="user", content="?"),))), "nothing to train on"),
        (schema.HARMONY, sft(conversation=Conversation(messages=(Message(role="user", content="?"), FLOW, FLOW))), "2 final messages"),
        (schema.EVIDENCE, sft(evidence=()), "no evidence"),
        (schema.EVIDENCE, sft(evidence=(evidence().model_copy(update={"blocks": ()}),)), "no block"),
        (schema.EVIDENCE, sft(evidence=(evidence(None, 1, 3),)), "[3]"),
        (schema.EVIDENCE, sft(evidence=(evidence(None, -1),)), "[-1]"),
        (schema.EVIDENCE, sft(evidence=(evidence(OTHER),)), "not in the corpus"),
        (schema.EVIDENCE, sft(evidence=(evidence(None, 1, quote="Black tea"),)), "in none of the cited blocks"),
        (schema.LENGTHS, sft(answer="  \n"), "empty"),
        (schema.LENGTHS, sft(question="x" * 8001), "8001"),
        (schema.ENCODING, sft(answer="It\u00e2\u20ac\u2122s two."), "broken text"),
        (schema.ENCODING, sft(answer="two\x00minutes"), "broken text"),
        (schema.ENCODING, sft(question="green \ufffd tea"), "broken text"),
        (LICENCE, sft(evidence=(evidence(OTHER),)), "unknown"),
    ],
)
def test_a_broken_record_fails_with_the_reason(check: RecordCheck, record: Any, words: str):
    found = look(check, record)
    assert found.outcome == "fail"
    assert words in found.reason


@pytest.mark.parametrize(
    "secret",
    [
        AWS_KEY,
        "ghp_" + TAIL[:36],
        "sk-" + "ant-" + TAIL[:40],
        "AI" + "za" + TAIL[:35],
        "glpat-" + TAIL[:20],
        "hf_" + TAIL[:34],
        "sk_" + "live_" + TAIL[:24],
        f"eyJ{TAIL[:20]}.eyJ{TAIL[20:40]}.{TAIL[40:]}",
        "-----BEGIN RSA " + f"PRIVATE KEY-----\n{TAIL}{TAIL}\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN " + f"PRIVATE KEY-----\n{TAIL}\n{TAIL}\n{TAIL[:20]}",
    ],
)
def test_a_credential_fails_and_is_not_repeated_in_the_verdict(secret: str):
    found = look(schema.SECRETS, sft(answer=f"Take {secret} and go."))
    assert found.outcome == "fail"
    assert secret not in found.reason


def test_a_credential_in_the_output_of_a_tool_fails_too():
    messages = list(trace_example().conversation.messages)
    messages[3] = messages[3].model_copy(update={"content": AWS_KEY})
    example = sft(conversation=trace_example().conversation.model_copy(update={"messages": tuple(messages)}))
    assert look(schema.SECRETS, example).outcome == "fail"


EVERYWHERE = [
    (sft(answer="PLACE"), "sft"),
    (sft(question="PLACE"), "sft"),
    (sft(conversation=said("How long?", "Two.", instructions="PLACE")), "sft"),
    (sft(conversation=said("How long?", "Two.", tools=(Tool(name="brew", description="PLACE"),))), "sft"),
    (pair(chosen="PLACE"), "preferences"),
    (pair(rejected="PLACE"), "preferences"),
    (reward(reference="PLACE"), "rewards"),
    (reward(answers=(*reward().answers, reward().answers[0].model_copy(update={"text": "PLACE"}))), "rewards"),
    (replay(wrong="PLACE"), "replay"),
    (replay(practise="PLACE"), "replay"),
    (replay(check=Check(kind="contains", expected=("three", "PLACE"))), "replay"),
]
BAD = [
    (schema.SECRETS, f"take {AWS_KEY}"),
    (schema.ENCODING, "green \ufffd tea"),
    (schema.PERSONAL_DATA, "\nwith 4539 5787 6362 1486"),
]


def holding(record: Record, text: str) -> Any:
    return type(record).model_validate_json(record.model_dump_json().replace("PLACE", json.dumps(text)[1:-1]))


@pytest.mark.parametrize(("record", "dataset"), EVERYWHERE)
@pytest.mark.parametrize(("check", "text"), BAD, ids=["secret", "encoding", "personal data"])
def test_every_text_that_is_released_is_read(check: RecordCheck, text: str, record: Record, dataset: str):
    assert look(check, holding(record, "harmless"), dataset).outcome == "pass"
    assert look(check, holding(record, text), dataset).outcome == "fail"


@pytest.mark.parametrize(
    ("answer", "place", "value"),
    [
        ("Ask ann.lee@gmail.com.", "EMAIL in message 2, characters 4 to 21", "ann.lee"),
        ("Call +49 30 901820.", "PHONE in message 2, characters 5 to 18", "901820"),
        ("Pay with `4539 5787 6362 1486`.", "CARD in message 2, characters 10 to 29", "1486"),
    ],
)
def test_personal_data_fails_by_kind_and_place_and_is_not_repeated(answer: str, place: str, value: str):
    found = look(schema.PERSONAL_DATA, sft(answer=answer))
    assert (found.outcome, found.reason) == ("fail", f"personal data of kind {place}")
    assert value not in found.reason


@pytest.mark.parametrize(
    "answer",
    ["Write to user@example.com.", "Use `mail('ann@corp.io')`.", "```py\nmail('ann@corp.io')\n```", "Mako 1.4.3 on 127.0.0.1:8080."],
)
def test_reserved_addresses_and_code_are_not_personal(answer: str):
    assert look(schema.PERSONAL_DATA, sft(answer=answer)).outcome == "pass"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("Two minutes, as `Brewing` says.", "pass"),
        ("Call `kettle.boil(water)` first.", "flag"),
        ("Set steep_time to two minutes.", "flag"),
        ("Use the TeaTimer.", "flag"),
        ("Two minutes:\n\n```python\nkettle.boil(2)\n```\n", "pass"),
    ],
)
def test_a_name_that_neither_question_nor_cited_blocks_know_is_a_flag_for_people(answer: str, outcome: str):
    found = look(schema.NAMES, sft(answer=answer))
    assert found.outcome == outcome
    assert (outcome == "pass") == ("every name" in found.reason)
    asked = sft(question="What do `kettle.boil(water)`, steep_time and TeaTimer do?", answer=answer)
    assert look(schema.NAMES, asked).outcome == "pass"


def test_the_second_example_that_asks_the_same_fails():
    first, second = sft(1, question="How long?"), sft(2, question="  how LONG? ")
    seen = {schema.normal_prompt(view_record(first, "sft")): first.id}
    assert look(schema.DUPLICATE_PROMPT, first, seen_prompts=seen).outcome == "pass"
    found = look(schema.DUPLICATE_PROMPT, second, seen_prompts=seen)
    assert (found.outcome, first.id in found.reason) == ("fail", True)


def test_a_leaked_record_fails_contamination():
    found = look(schema.CONTAMINATION, sft(), leaks={sft().id: "13-gram overlap 1.00 with gate item"})
    assert (found.outcome, found.reason) == ("fail", "13-gram overlap 1.00 with gate item")


@pytest.mark.parametrize(("record", "dataset"), [(pair(rejected="An\x00hour."), "preferences"), (pair(rejected=""), "preferences")])
def test_the_worse_answer_of_a_pair_is_checked_too(record: Any, dataset: str):
    outcomes = {look(check, record, dataset).outcome for check in (schema.ENCODING, schema.LENGTHS)}
    assert "fail" in outcomes


@pytest.mark.parametrize(("record", "dataset"), [(pair(), "preferences"), (reward(), "rewards"), (replay(), "replay")])
def test_every_dataset_is_rendered_to_harmony(record: Any, dataset: str):
    assert look(schema.HARMONY, record, dataset).outcome == "pass"


@pytest.mark.parametrize("verdict", ["not-allowed", "abstain", "contradiction"])
def test_a_source_outside_the_licence_policy_fails(verdict: str):
    forbidden = document(page(verdict=verdict, spdx=None))
    found = look(LICENCE, sft(evidence=(evidence(forbidden),)), documents=(forbidden,))
    assert found.outcome == "fail"
    assert verdict in found.reason


@pytest.mark.parametrize(
    ("spdx", "notice", "outcome"),
    [("CC-BY-4.0", "", "fail"), ("MIT", " ", "fail"), ("CC0-1.0", "", "pass"), ("MIT", "(c) Tea people", "pass")],
)
def test_a_source_that_cannot_be_attributed_as_its_licence_asks_fails_with_the_missing_part_named(spdx: str, notice: str, outcome: str):
    of = document()
    of = of.model_copy(update={"licence": of.licence.model_copy(update={"spdx": spdx, "attribution": notice})})
    found = look(LICENCE, sft(evidence=(evidence(of),)), documents=(of,))
    assert found.outcome == outcome
    assert outcome == "pass" or f"under {spdx}, which asks for attribution, and the notice" in found.reason
