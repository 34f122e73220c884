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
    assert (report.lines, report.samples, report.ok) == (14, 6, False)
    assert report.emit_tokens - report.trained_tokens == sum(sample.mask)


def test_a_clean_file_is_fully_covered(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}), encoding="utf-8")
    report = lint_file(path, max_tokens=500)
    assert report.ok and report.coverage == 1.0


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="give a JSONL file"):
        lint_file(tmp_path / "none.jsonl")
