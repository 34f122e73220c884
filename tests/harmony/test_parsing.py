from pathlib import Path

import pytest
from harmony_cases import answers, calls, talk, thinks, user
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from castalia.harmony import Status, Style, Vocabulary, can_become_valid, parse_completion, render_samples
from castalia.harmony.scan import scan

GOLD = Path(__file__).parents[2] / "../shared/gold/harmony"
gold = pytest.mark.skipif(not GOLD.is_dir(), reason="the gold vectors of openai/harmony aren't here")


def ids(text: str, vocabulary: Vocabulary) -> list[int]:
    """Ids of a transcript in which literals stand for special tokens."""
    out: list[int] = []
    while text:
        found = [(text.index(token), token) for token in vocabulary.special if token in text]
        if not found:
            return out + vocabulary.encode(text)
        at, token = min(found)
        out += [*vocabulary.encode(text[:at]), vocabulary.special[token]]
        text = text[at + len(token) :]
    return out


@pytest.mark.parametrize(
    ("header", "content_type"),
    [
        ("<|channel|>commentary to=functions.f <|constrain|>json", "json"),
        (" to=functions.f<|channel|>commentary <|constrain|>json", "json"),
        (" to=functions.f<|channel|>commentary json", "json"),
        (" to=functions.f<|channel|>commentary", None),
        ("<|channel|>commentary to=functions.f", None),
        ("<|channel|>commentary to=functions.f<|constrain|>json", "json"),
        ("<|channel|>analysis to=functions.f code", "code"),
        (" to=functions.f<|channel|>analysis code", "code"),
    ],
)
def test_every_dialect_of_a_call_is_understood(header, content_type, vocabulary):
    parsed = parse_completion(ids(header + '<|message|>{"a": 1}<|call|>', vocabulary), vocabulary, finished=True)
    assert parsed.status is Status.OK
    (call,) = parsed.calls
    assert (call.recipient, call.content, call.content_type) == ("functions.f", '{"a": 1}', content_type)
    assert parsed.final is None


@pytest.mark.parametrize(
    ("text", "finished", "status"),
    [
        ("<|channel|>final<|message|>a<|return|>", True, "ok"),
        ("<|channel|>final<|message|>a<|return|>", False, "ok"),
        ("<|channel|>final<|message|>a", True, "ok"),
        ("<|channel|>final<|message|>a<|end|>", True, "ok"),
        ("<|channel|>final<|message|>a<|return|>junk<|start|>user", True, "ok"),
        ("<|channel|>final <|constrain|>json<|message|>{}<|return|>", True, "ok"),
        ("<|channel|>final<|message|>a", False, "truncated"),
        ("<|channel|>analysis<|message|>t<|end|><|start|>assistant<|channel|>fin", False, "truncated"),
        ("<|channel|>analysis<|message|>t<|end|>", False, "truncated"),
        ("", False, "truncated"),
        ("", True, "malformed-header"),
        ("just text", True, "malformed-header"),
        ("<|message|>no channel<|return|>", True, "malformed-header"),
        ("<|channel|>thoughts<|message|>a<|return|>", True, "malformed-header"),
        ("<|channel|>final<|return|>", True, "malformed-header"),
        ("<|channel|>final<|channel|>final<|message|>a<|return|>", True, "malformed-header"),
        ("<|channel|>commentary to=functions.f to=functions.g<|message|>{}<|call|>", True, "malformed-header"),
        ("<|channel|>final to=functions.f<|message|>{}<|call|>", True, "malformed-header"),
        ("<|channel|>final<|message|>a<|start|>assistant<|channel|>final<|message|>b<|return|>", True, "malformed-content"),
        ("<|channel|>final<|message|>a<|message|>b<|return|>", True, "malformed-content"),
        ("<|channel|>analysis<|message|>a<|end|>loose<|start|>assistant<|channel|>final<|message|>b<|return|>", True, "malformed-content"),
        ("<|channel|>analysis<|message|>t<|end|><|start|>user<|message|>thanks<|end|>", True, "wrong-role"),
        ("<|channel|>commentary to=functions.f<|message|>{}<|return|>", True, "wrong-stop"),
        ("<|channel|>final<|message|>a<|call|>", True, "wrong-stop"),
        ("<|channel|>analysis<|message|>t<|return|>", True, "no-final"),
        ("<|channel|>commentary<|message|>I will.<|return|>", True, "no-final"),
        ("<|channel|>final<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>", True, "several-finals"),
        (
            "<|channel|>final<|message|>a<|end|><|start|>assistant to=functions.f<|channel|>commentary<|message|>{}<|call|>",
            True,
            "several-finals",
        ),
    ],
)
def test_each_defect_has_its_status_and_only_ok_has_an_answer(text, finished, status, vocabulary):
    parsed = parse_completion(ids(text, vocabulary), vocabulary, finished=finished)
    assert parsed.status == status
    assert (parsed.final is not None or bool(parsed.calls)) is (status == "ok")
    assert parsed.raw == text


def test_a_literal_inside_an_answer_is_text(vocabulary):
    (sample,) = render_samples(talk(user("q"), answers("stop with <|return|> then <|start|>user")), vocabulary)
    parsed = parse_completion(sample.ids[slice(*sample.spans()[0])], vocabulary, finished=True)
    assert parsed.final == "stop with <|return|> then <|start|>user"


def test_a_cut_anywhere_is_truncated_and_never_answers(vocabulary):
    (sample,) = render_samples(talk(user("q"), thinks("think twice"), answers("the answer is 4")), vocabulary)
    completion = sample.ids[slice(*sample.spans()[0])]
    for length in range(len(completion)):
        parsed = parse_completion(completion[:length], vocabulary, finished=False)
        assert (parsed.status, parsed.final) == (Status.TRUNCATED, None)


@pytest.mark.parametrize(
    "text",
    [
        "<|channel|>final<|message|>yes<|return|>",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>{}<|return|>",
        " to=functions.f<|channel|>commentary json<|message|>{}<|call|>",
        "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>",
        "<|channel|>analysis<|message|>t<|end|><|start|>assistant to=functions.f<|channel|>commentary<|message|>{}<|call|>",
    ],
)
def test_every_beginning_of_a_valid_answer_can_still_become_valid(text, vocabulary):
    completion = ids(text, vocabulary)
    assert parse_completion(completion, vocabulary, finished=True).status is Status.OK
    assert all(can_become_valid(completion[:length], vocabulary) for length in range(len(completion) + 1))


@pytest.mark.parametrize(
    ("text", "hopeless_after"),
    [
        ("Sure, here is the answer you", "Sure, here is "),
        (" to=a to=b <|channel|>", " to=a to=b "),
        ("<|channel|><|message|>", "<|channel|><|message|>"),
        ("<|channel|>final<|channel|>", "<|channel|>final<|channel|>"),
        ("<|channel|>final<|end|>", "<|channel|>final<|end|>"),
        (
            "<|channel|>final<|message|>a<|end|><|start|>user<|message|>b<|end|>",
            "<|channel|>final<|message|>a<|end|><|start|>user<|message|>b<|end|>",
        ),
    ],
)
def test_an_answer_is_given_up_where_nothing_can_mend_it(text, hopeless_after, vocabulary):
    assert not can_become_valid(ids(hopeless_after, vocabulary), vocabulary)
    assert not can_become_valid(ids(text, vocabulary), vocabulary)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(
        st.sampled_from(
            [
                "<|channel|>",
                "final",
                "analysis",
                "commentary",
                " to=f",
                " json",
                "<|message|>",
                "a b",
                "<|end|>",
                "<|start|>",
                "assistant",
                "<|call|>",
                "<|return|>",
            ]
        ),
        max_size=9,
    )
)
def test_what_was_given_up_would_not_have_become_valid(parts, vocabulary):
    completion = ids("".join(parts), vocabulary)
    if parse_completion(completion, vocabulary, finished=True).status is Status.OK:
        assert all(can_become_valid(completion[:length], vocabulary) for length in range(len(completion) + 1))


def test_what_the_parser_reads_as_a_call_is_what_the_reference_reads(vocabulary, oracle):
    for dialect in ("A", "B", "C", "D"):
        (sample,) = render_samples(
            talk(user("q"), thinks("t"), calls("f", '{"a": 1}')), vocabulary, Style(preamble="none", dialect=dialect)
        )
        completion = sample.ids[slice(*sample.spans()[0])]
        theirs = oracle.encoding.parse_messages_from_completion_tokens(completion, oracle.harmony.Role.ASSISTANT)
        ours = parse_completion(completion, vocabulary, finished=True)
        assert [(m.channel, m.recipient, m.content[0].text) for m in theirs] == [(m.channel, m.recipient, m.content) for m in ours.messages]


special = st.sampled_from([200002, 200003, 200005, 200006, 200007, 200008, 200012])
words = st.sampled_from([173781, 35644, 17196, 12606, 815, 316, 28, 44580, 1196, 220, 4108, 1428])
anything = st.one_of(special, words, st.integers(-5, 210_000), st.sampled_from([2**31, -(2**40), 10**30]))


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tokens=st.lists(anything, max_size=40), finished=st.booleans())
def test_no_ids_crash_the_parser(tokens, finished, vocabulary):
    parsed = parse_completion(tokens, vocabulary, finished=finished)
    assert (parsed.status is Status.OK) is (parsed.final is not None or bool(parsed.calls))
    assert sum(block.end - block.start for block in scan(tokens, vocabulary)) == len(tokens)


@gold
def test_official_completions_parse(vocabulary):
    simple = [int(token) for token in (GOLD / "test_simple_reasoning_response.txt").read_text().split()]
    parsed = parse_completion(simple, vocabulary, finished=True)
    assert parsed.status is Status.NO_FINAL, "this vector ends its analysis with <|return|>: a stop without an answer"
    assert [message.channel for message in parsed.messages] == ["analysis"]
    call = [int(token) for token in (GOLD / "test_simple_tool_call.txt").read_text().split()]
    assert [block.recipient for block in scan(call, vocabulary, given="assistant")] == [None, "lookup_weather"]


@gold
def test_the_official_transcript_scans_to_its_messages(vocabulary):
    text = (GOLD / "test_streamable_parser.txt").read_text(encoding="utf-8")
    blocks = list(scan(ids(text, vocabulary), vocabulary, given="assistant"))
    assert [(block.role, block.channel, block.recipient, block.content_type) for block in blocks] == [
        ("assistant", "analysis", None, None),
        ("assistant", "commentary", "browser.search", "code"),
        ("browser.search", "commentary", "assistant", None),
    ]
    assert all(block.problem is None for block in blocks)
