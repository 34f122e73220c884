import json
from dataclasses import replace

import pytest
from harmony_cases import answers, calls, conversations, returns, talk, thinks, user
from hypothesis import HealthCheck, given, settings

from castalia.errors import InputError
from castalia.harmony import Style, lint_conversation, lint_file, lint_samples, render_samples
from castalia.records import Message, Tool

BARE = Style(preamble="none")


def codes(findings):
    return [finding.code for finding in findings]


def good_samples(vocabulary):
    return render_samples(
        talk(user("q"), thinks("t"), calls("f", "{}"), returns("f", "r"), answers("a"), user("q2"), thinks("t2"), answers("b")),
        vocabulary,
        BARE,
    )


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conversation=conversations)
def test_our_own_samples_have_no_mask_errors(conversation, vocabulary):
    found = codes(lint_samples(render_samples(conversation, vocabulary), vocabulary))
    assert not {"emit-not-trained", "trained-context", "wrong-stop", "malformed", "mixed-dialects"} & set(found)


def test_untrained_headers_and_trained_context_are_found(vocabulary):
    sample = good_samples(vocabulary)[0]
    only_final = replace(sample, mask=[part == "final" for part in sample.parts])
    everything = replace(sample, mask=[True] * len(sample.ids))
    (missing,) = lint_samples([only_final], vocabulary)
    assert missing.code == "emit-not-trained" and f"of {sum(sample.mask)} tokens" in missing.message
    (wrong,) = lint_samples([everything], vocabulary)
    assert wrong.code == "trained-context" and wrong.message.startswith(f"{sample.mask.count(False)} tokens")


def test_a_final_that_ends_like_history_is_a_wrong_stop(vocabulary):
    sample = good_samples(vocabulary)[0]
    assert codes(lint_samples([replace(sample, ids=[*sample.ids[:-1], vocabulary.special["<|end|>"]])], vocabulary)) == ["wrong-stop"]


def test_a_turn_without_thoughts_beside_one_that_has_them_is_a_lost_thought(vocabulary):
    samples = render_samples(talk(user("1"), answers("a"), user("2"), thinks("t"), answers("b")), vocabulary, BARE)
    (finding,) = lint_samples(samples, vocabulary)
    assert (finding.code, finding.sample) == ("lost-thought", 0)


def test_two_dialects_in_one_conversation_are_mixed(vocabulary):
    samples = [
        render_samples(talk(user("q"), calls("f", "{}")), vocabulary, Style(preamble="none", dialect=dialect))[0] for dialect in ("A", "C")
    ]
    assert codes(lint_samples(samples, vocabulary)) == ["mixed-dialects"]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([user("q"), answers("a")], []),
        ([user("q"), answers(" \n")], ["empty-final"]),
        ([user("q"), thinks("t")], ["no-answer"]),
        ([user("q")], ["no-answer"]),
        ([user("q"), answers("a"), answers("b")], ["several-finals"]),
        ([user("q"), answers("a"), thinks("t")], ["wrong-stop"]),
        ([user("q"), returns("f", "r"), answers("a")], ["orphan-result"]),
        ([user("q"), calls("f", "[1]"), returns("f", "r"), answers("a")], ["bad-arguments"]),
        ([user("see <|end|>"), answers("a")], ["special-literal"]),
        ([user("q"), calls("f", '"{}"'), returns("f", "r"), answers("a")], ["bad-arguments"]),
        ([user("q"), calls("f", "{}").model_copy(update={"channel": "final"})], ["bad-header"]),
        ([user("q"), Message(role="assistant", content="{}", channel="commentary", recipient="my tool")], ["bad-header"]),
    ],
)
def test_each_defect_of_a_conversation_is_named(messages, expected, vocabulary):
    assert codes(lint_conversation(talk(*messages), vocabulary)) == expected


def test_tools_that_are_undeclared_or_inexpressible_are_warned_of(vocabulary):
    declared = Tool(name="g", description="", parameters='{"type":"object","properties":{"a":{"anyOf":[{"type":"string"}]}}}')
    conversation = talk(user("q"), calls("f", "{}"), returns("f", "r"), answers("a")).model_copy(update={"tools": (declared,)})
    findings = lint_conversation(conversation, vocabulary)
    assert codes(findings) == ["lossy-schema", "undeclared-tool"]
    assert {finding.severity for finding in findings} == {"warning"}


@pytest.mark.parametrize(
    ("schema", "lost"),
    [
        ({"enum": ["a", "b"]}, ["enum"]),
        ({"type": "integer", "enum": [1, 2]}, ["enum"]),
        ({"type": ["string", "null"], "enum": ["a", None]}, ["enum"]),
        ({"type": "string", "enum": ["a", 1]}, ["enum"]),
        ({"type": "string", "enum": ["a"]}, []),
        ({"type": "string", "pattern": "^a", "maxLength": 3}, ["maxLength", "pattern"]),
        ({"type": "number", "minimum": 0, "maximum": 1}, ["maximum", "minimum"]),
        ({"properties": {"b": {"type": "string"}}}, ["properties"]),
        ({"items": {"type": "string"}}, ["items"]),
        ({"type": "object", "additionalProperties": {"type": "string"}}, ["additionalProperties"]),
        ({"type": "object", "additionalProperties": False}, []),
        ({"type": "array", "items": {"type": "integer", "const": 1}}, ["const"]),
    ],
)
def test_what_a_schema_says_and_the_model_does_not_see_is_named(schema, lost, vocabulary):
    tool = Tool(name="f", description="", parameters=json.dumps({"type": "object", "properties": {"a": schema}}))
    findings = lint_conversation(talk(user("q"), answers("a")).model_copy(update={"tools": (tool,)}), vocabulary)
    assert [(finding.code, f"uses {lost} where" in finding.message) for finding in findings] == [("lossy-schema", True)] * bool(lost)


def test_over_length_is_counted_in_tokens(vocabulary):
    conversation = talk(user("q"), answers("a " * 200))
    assert codes(lint_conversation(conversation, vocabulary, max_tokens=100)) == ["over-length"]
    assert codes(lint_conversation(conversation, vocabulary, max_tokens=1000)) == []


def test_broken_lines_are_named_and_the_rest_is_read(tmp_path, vocabulary):
    sample = good_samples(vocabulary)[0]
    lines = [
        json.dumps({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "thinking": "t"}]}),
        "{broken",
        "",
        json.dumps({"messages": [{"role": "user", "content": "q"}, {"role": "narrator", "content": "a"}]}),
        json.dumps(["no object"]),
        json.dumps({"input_ids": sample.ids, "labels": sample.labels()}),
        json.dumps({"ids": sample.ids, "mask": [False] * len(sample.ids)}),
        json.dumps({"input_ids": [1, 2], "labels": [1]}),
        json.dumps({"text": "x"}),
        json.dumps({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": ""}]}),
        json.dumps({"conversations": [{"from": "human", "value": "q"}, {"from": "owl", "value": "a"}]}),
        json.dumps({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "tools": "", "effort": "low"}),
        json.dumps({"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "a"}]}),
        json.dumps({"messages": [{"role": "user", "content": "q"}], "tools": "[{"}),
    ]
    path = tmp_path / "train.jsonl"
    path.write_bytes("\n".join(lines).encode() + b"\n\xff\xfe\n")
    report = lint_file(path)
    assert [(finding.line, finding.code) for finding in report.findings] == [
        (2, "bad-line"), (4, "bad-line"), (5, "bad-line"), (7, "emit-not-trained"), (8, "bad-line"), (9, "bad-line"),
        (10, "empty-final"), (11, "bad-line"), (14, "bad-line"), (15, "bad-line"),
    ]  # fmt: skip
    assert (report.lines, report.unreadable, report.samples, report.ok) == (14, 8, 6, False)
    assert report.emit_tokens - report.trained_tokens == sum(sample.mask)


def test_a_clean_file_is_fully_covered(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}), encoding="utf-8")
    report = lint_file(path, max_tokens=500)
    assert report.ok and report.coverage == 1.0


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="give a JSONL file"):
        lint_file(tmp_path / "none.jsonl")


GOOD = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "thinking": "t"}]}


def test_more_findings_than_a_report_holds_are_counted(tmp_path):
    path = tmp_path / "broken.jsonl"
    path.write_text("{\n" * 1200, encoding="utf-8")
    report = lint_file(path)
    assert (len(report.findings), report.left_out, report.unreadable) == (1000, 200, 1200)
    assert [(count.code, count.count) for count in report.counts] == [("bad-line", 1200)]


def test_samples_rendered_elsewhere_must_have_the_dialect_that_is_asked_for(tmp_path, vocabulary):
    path = tmp_path / "tokens.jsonl"
    (sample,) = render_samples(talk(user("q"), calls("f", "{}")), vocabulary, Style(dialect="B"))
    path.write_text(json.dumps({"input_ids": sample.ids, "labels": sample.labels()}), encoding="utf-8")
    assert codes(lint_file(path).findings) == codes(lint_file(path, style=Style(dialect="B")).findings) == []
    assert codes(lint_file(path, style=Style(dialect="A")).findings) == ["mixed-dialects"]


def rendered(dialects, vocabulary, *messages):
    for dialect in dialects:
        (sample,) = render_samples(talk(*(messages or (user("q"), calls("f", "{}")))), vocabulary, Style(dialect=dialect))
        yield json.dumps({"input_ids": sample.ids, "labels": sample.labels()}) + "\n"


def test_a_file_that_changes_its_dialect_is_warned_of_once(tmp_path, vocabulary):
    path = tmp_path / "tokens.jsonl"
    plain = [*rendered("A", vocabulary, user("q"), answers("a"))]
    path.write_text("".join([*rendered("AA", vocabulary), *plain, *rendered("BABC", vocabulary)]), encoding="utf-8")
    (finding,) = lint_file(path).findings
    assert (finding.line, finding.code) == (4, "mixed-dialects")
    assert "in dialect B here and in A in rows before" in finding.message
    assert codes(lint_file(path, style=Style(dialect="A")).findings) == ["mixed-dialects"] * 3


def test_conversations_have_no_dialect_of_their_own(tmp_path, vocabulary):
    path = tmp_path / "mixed.jsonl"
    called = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
    row = {"messages": [{"role": "user", "content": "q"}, called, {"role": "tool", "content": "r"}, {"role": "assistant", "content": "a"}]}
    path.write_text("".join([json.dumps(row) + "\n", *rendered("BB", vocabulary)]), encoding="utf-8")
    assert lint_file(path).findings == ()


def test_both_answers_of_a_pair_are_checked(tmp_path):
    path = tmp_path / "pairs.jsonl"
    chosen, rejected = [{"role": "assistant", "content": "a"}], [{"role": "assistant", "content": " "}]
    asked = {"prompt": [{"role": "user", "content": "q"}], "chosen": chosen, "rejected": rejected}
    whole = {"chosen": [*asked["prompt"], *chosen], "rejected": [*asked["prompt"], *rejected]}
    path.write_text(json.dumps(asked) + "\n" + json.dumps(whole), encoding="utf-8")
    report = lint_file(path)
    assert (report.samples, codes(report.findings)) == (4, ["empty-final", "empty-final"])


def test_keys_that_no_conversation_has_a_place_for_are_named_once(tmp_path):
    path = tmp_path / "weighted.jsonl"
    weighted = {"messages": [{"role": "user", "content": "q", "name": "Ann"}, {"role": "assistant", "content": "a", "weight": 0}]}
    path.write_text(f"{json.dumps(weighted)}\n{json.dumps(weighted)}\n", encoding="utf-8")
    report = lint_file(path)
    assert [(finding.line, finding.code, finding.message.split()[0]) for finding in report.findings] == [
        (1, "ignored-key", "'messages.name'"),
        (1, "ignored-key", "'messages.weight'"),
    ]
    assert report.ok


def test_parts_of_a_prompt_that_are_not_read_are_named(tmp_path):
    path = tmp_path / "grounded.jsonl"
    path.write_text(json.dumps({**GOOD, "documents": [{"text": "x"}], "context": "", "source": "web"}), encoding="utf-8")
    assert [(finding.code, finding.message.split()[0]) for finding in lint_file(path).findings] == [("ignored-key", "'documents'")]


def call_to(recipient, arguments="{}", channel="analysis"):
    return Message(role="assistant", content=arguments, channel=channel, recipient=recipient, content_type="code")


@pytest.mark.parametrize(
    ("message", "built_in", "expected"),
    [
        (call_to("browser.search", '{"query": "x"}'), ("browser",), []),
        (call_to("python", "1 + 1"), ("python",), []),
        (call_to("python", "1 + 1"), ("browser",), ["undeclared-tool"]),
        (call_to("browser.search", "x"), ("browser",), ["bad-arguments"]),
        (call_to("python", " "), ("python",), ["bad-arguments"]),
        (call_to("python", "1", "commentary"), ("python",), ["unusual-channel"]),
        (call_to("browser.click"), (), ["undeclared-tool"]),
        (call_to("shell", "ls"), (), ["undeclared-tool"]),
    ],
)
def test_calls_of_built_in_and_unknown_tools_are_checked(message, built_in, expected, vocabulary):
    conversation = talk(user("q"), message, Message(role="tool", content="r", name=message.recipient), answers("a"))
    assert codes(lint_conversation(conversation.model_copy(update={"builtin_tools": built_in}), vocabulary)) == expected


def test_a_function_called_in_the_chain_of_thought_is_unusual(vocabulary):
    conversation = talk(user("q"), call_to("functions.f"), answers("a")).model_copy(update={"tools": (Tool(name="f", description=""),)})
    assert codes(lint_conversation(conversation, vocabulary)) == ["unusual-channel"]


def test_another_models_tags_in_a_final_are_warned_of(vocabulary):
    assert codes(lint_conversation(talk(user("q"), answers("<think>hm</think>a")), vocabulary)) == ["tags-in-text"]
