"""What goes wrong in data from elsewhere, through the functions that everybody calls: nothing is lost, guessed or fatal."""

import json

import pytest
from harmony_cases import answers, calls, returns, talk, thinks, user

from castalia.harmony import (
    HARMONY_TOKENS,
    FileRow,
    convert,
    from_openai_messages,
    from_sharegpt,
    from_trl,
    lint_conversation,
    lint_file,
    lint_samples,
    parse_completion,
    render_samples,
    to_trl,
)
from castalia.records import Message, Tool

EVERY_TOKEN = "".join(HARMONY_TOKENS)


def codes(findings):
    return [finding.code for finding in findings]


def emitted(conversation, vocabulary):
    (sample,) = render_samples(conversation, vocabulary)
    return [parse_completion(sample.ids[start:end], vocabulary, finished=True) for start, end in sample.spans()]


@pytest.mark.parametrize(
    "read",
    [
        lambda text: from_openai_messages([{"role": "user", "content": text}, {"role": "assistant", "content": text, "thinking": text}]),
        lambda text: from_trl(
            {"prompt": [{"role": "user", "content": text}], "completion": [{"role": "assistant", "content": text, "thinking": text}]}
        ),
        lambda text: from_sharegpt(
            {"conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": f"<think>\n{text}\n</think>\n\n{text}"}]}
        ),
    ],
)
def test_literals_of_special_tokens_stay_text_from_every_form_to_the_parser(read, vocabulary):
    conversation = read(EVERY_TOKEN)
    (parsed,) = emitted(conversation, vocabulary)
    assert (parsed.status, parsed.final, parsed.messages[0].content) == ("ok", EVERY_TOKEN, EVERY_TOKEN)
    assert codes(lint_conversation(conversation, vocabulary)) == ["special-literal"] * 3


def test_a_tool_name_with_a_special_token_is_refused_not_rendered(vocabulary):
    row = {
        "messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "tool_calls": [{"function": {"name": "f<|call|>", "arguments": "{}"}}]},
        ]
    }
    (found,) = convert([FileRow(1, row)], "ids", vocabulary)
    assert "'functions.f<|call|>' can't stand in a Harmony header" in found.problem
    assert codes(lint_conversation(from_trl(row), vocabulary)) == ["bad-header"]


def test_a_completion_without_channels_has_no_answer(vocabulary):
    special = vocabulary.special
    ids = [special["<|message|>"], *vocabulary.encode("42"), special["<|return|>"]]
    parsed = parse_completion(ids, vocabulary, finished=True)
    assert (parsed.status, parsed.final, parsed.calls) == ("malformed-header", None, ())


def test_messages_without_channels_get_those_that_they_mean():
    called = {"role": "assistant", "content": "I look.", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}
    conversation = from_openai_messages(
        [called, {"role": "tool", "tool_call_id": "1", "content": "r"}, {"role": "assistant", "content": "a"}]
    )
    assert [message.channel for message in conversation.messages] == ["commentary", "commentary", None, "final"]


def test_all_of_many_parallel_calls_are_trained_and_answered_by_their_ids(vocabulary):
    called = [{"id": str(n), "type": "function", "function": {"name": f"f{n}", "arguments": {"n": n}}} for n in range(5)]
    results = [{"role": "tool", "tool_call_id": str(n), "content": str(n)} for n in (3, 0, 4, 1, 2)]
    conversation = from_openai_messages(
        [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": called}, *results, {"role": "assistant", "content": "a"}]
    )
    assert [message.name for message in conversation.messages if message.role == "tool"] == [f"functions.f{n}" for n in (3, 0, 4, 1, 2)]
    parsed = emitted(conversation, vocabulary)
    assert [call.recipient for one in parsed for call in one.calls] == [f"functions.f{n}" for n in range(5)]
    assert lint_conversation(conversation, vocabulary) == []


@pytest.mark.parametrize("arguments", ['{"a": "\\"quoted\\""}', '{"path": "C:\\\\x"}', '{"a":1,  "b":[ ]}', '"{}"', "not JSON", ""])
def test_arguments_given_as_text_are_never_encoded_again(arguments, vocabulary):
    row = {
        "messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]},
        ]
    }
    conversation = from_trl(row)
    (parsed,) = emitted(conversation, vocabulary)
    assert parsed.calls[0].content == arguments
    assert from_trl(json.loads(json.dumps(to_trl(conversation)))) == conversation


def test_a_call_of_a_tool_that_nobody_declared_is_named_with_what_is_declared(vocabulary):
    conversation = talk(user("q"), calls("g", "{}"), returns("g", "r"), answers("a")).model_copy(
        update={"tools": (Tool(name="f", description=""),)}
    )
    (finding,) = lint_conversation(conversation, vocabulary)
    assert (finding.code, finding.severity) == ("undeclared-tool", "warning")
    assert "'functions.g'; declared are ['functions.f']" in finding.message


def test_an_empty_final_is_an_error_and_an_empty_thought_is_none(vocabulary):
    conversation = from_openai_messages([{"role": "user", "content": "q"}, {"role": "assistant", "thinking": "", "content": ""}])
    assert conversation.messages == (user("q"), answers(""))
    assert codes(lint_conversation(conversation, vocabulary)) == ["empty-final"]


def test_every_sample_that_is_too_long_is_named_by_its_turn(vocabulary):
    conversation = talk(user("1"), answers("a"), user("x " * 300), answers("b"))
    findings = lint_conversation(conversation, vocabulary, max_tokens=200)
    assert [(finding.code, finding.sample) for finding in findings] == [("over-length", 1)]
    assert lint_samples(render_samples(conversation, vocabulary)[:1], vocabulary, max_tokens=200) == []


def test_a_file_from_elsewhere_keeps_its_sound_lines(tmp_path, vocabulary):
    sound = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    lines = [
        json.dumps(sound), '{"messages": [', json.dumps({"messages": "q"}), "\x00", json.dumps({"messages": [{"role": "user", "content": {"a": 1}}]}),
        json.dumps({"messages": [["user", "q"]]}), json.dumps({"messages": [{"role": "assistant", "content": "x", "recipient": 3}]}),
        json.dumps({"messages": [{"role": "tool", "content": "r"}]}), json.dumps({"conversations": [{"from": None}]}), "[" * 5000, json.dumps(sound),
    ]  # fmt: skip
    path = tmp_path / "foreign.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    report = lint_file(path)
    assert [finding.line for finding in report.findings] == list(range(2, 11))
    assert (report.lines, report.unreadable, report.samples) == (11, 9, 2)


def test_names_that_are_no_text_do_not_stop_a_file(vocabulary):
    odd = [
        {"messages": [{"role": 7, "content": "x"}]},
        {"messages": [{"role": "assistant", "content": "x", "channel": ["final"]}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"id": ["1"], "function": {"name": "f", "arguments": [1]}}]}]},
        {"messages": [{"role": "tool", "tool_call_id": {"a": 1}, "name": 3, "content": None}]},
        {"conversations": [{"from": ["gpt"], "value": "x"}]},
        {"conversations": [{"from": "gpt", "value": ["x", {"type": "text"}]}]},
        {"messages": [{"role": "user", "content": [{"type": {"a": 1}, "text": "x"}]}]},
        {"messages": [], "tools": [{"type": ["function"]}], "builtin_tools": [["browser"]]},
        {"messages": [], "tools": {"name": "f"}, "chat_template_kwargs": "low"},
        {"messages": [{"role": "assistant", "content": "x"}], "instructions": 5},
        {"input_ids": [1, "2"], "labels": [1, 2]},
        {"chosen": "a", "rejected": "b"},
        {"prompt": 1, "completion": 2},
    ]
    found = list(convert([FileRow(number, row) for number, row in enumerate(odd, start=1)], "trl", vocabulary))
    assert [bool(one.problem) for one in found] == [True, True, False, *[True] * 10]


def test_a_final_that_goes_on_is_an_error(vocabulary):
    spoken = Message(role="assistant", content="more", channel="commentary")
    assert "wrong-stop" in codes(lint_conversation(talk(user("q"), thinks("t"), answers("a"), spoken), vocabulary))


def test_a_conversation_without_a_user_has_nothing_to_train_on(vocabulary):
    conversation = from_openai_messages([{"role": "assistant", "content": "Hello!"}])
    assert render_samples(conversation, vocabulary) == []
    assert codes(lint_conversation(conversation, vocabulary)) == ["no-answer"]
