"""Files of chat data: what they come as, how they break, and what they are turned into."""

import gzip
import io
import json
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from harmony_cases import answers, calls, conversations, returns, talk, thinks, user
from hypothesis import HealthCheck, given, settings

from castalia.errors import InputError
from castalia.harmony import (
    FileRow,
    convert,
    files,
    from_sharegpt,
    from_transcript,
    from_trl,
    lint_file,
    read_rows,
    render_samples,
    to_openai_messages,
    to_trl,
    transcript_ids,
)
from castalia.records import Tool

TALK = talk(user("q"), thinks("t"), answers("naïve – 日本"))
ROWS = [to_trl(TALK), to_trl(talk(user("q <|end|>"), answers("a")))]
CALLED = talk(user("q"), thinks("t"), calls("f", '{"a": 1}'), returns("f", "r"), answers("a"))


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def written(path, data):
    path.write_bytes(data)
    return path


def test_lines_a_list_gzipped_ones_and_a_table_hold_the_same_rows(tmp_path):
    listed = json.dumps(ROWS, indent=1).encode()
    table = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_pylist([{"messages": row["messages"]} for row in ROWS]), table)
    for path in (
        written(tmp_path / "a.jsonl", lines(ROWS)),
        written(tmp_path / "b.jsonl.gz", gzip.compress(lines(ROWS))),
        written(tmp_path / "c.json", listed),
        written(tmp_path / "d.json.gz", gzip.compress(listed)),
        written(tmp_path / "e.jsonl", b"\xef\xbb\xbf" + lines(ROWS).replace(b"\n", b"\r\n")),
        table,
    ):
        found = [(row.number, from_trl(row.fields or {}).messages) for row in read_rows(path)]
        assert found == [(1, TALK.messages), (2, from_trl(ROWS[1]).messages)], path.name
        assert lint_file(path).samples == 2


def test_standard_input_is_read(monkeypatch):
    class Piped:
        buffer = io.BufferedReader(io.BytesIO(gzip.compress(lines(ROWS))))

    monkeypatch.setattr(sys, "stdin", Piped)
    assert [row.number for row in read_rows(files.STDIN)] == [1, 2]


def test_a_list_that_comes_in_pieces_is_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_CHUNK", 7)
    path = written(tmp_path / "a.json", b"\n" * 20 + b" [ " + json.dumps(ROWS, ensure_ascii=False)[1:].encode())
    assert [from_trl(row.fields or {}).messages for row in read_rows(path)] == [TALK.messages, from_trl(ROWS[1]).messages]


def test_a_broken_item_of_a_list_is_named_and_ends_it(tmp_path):
    path = written(tmp_path / "a.json", b'[{"messages": []}, 3, {"a": }, {}]')
    assert [(row.number, row.problem[:12]) for row in read_rows(path)] == [(1, ""), (2, "a JSON objec"), (3, "no JSON from")]
    cut = written(tmp_path / "b.json", b'[{"messages": []},')
    assert [row.problem for row in read_rows(cut)] == ["", "the list isn't closed: the file is cut off"]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('[{"n": 1}][{"n": 2}]\n[]\n [ {"n": 3} ]\n', [(1, ""), (2, ""), (3, "")]),
        ('[{"n": 1}]\n{"n": 2}\n', [(1, ""), (2, "")]),
        ('[{"n": 1}, {"n": 2}]\n["a"]\n', [(1, ""), (2, ""), (3, "a JSON object is needed, got 'a'")]),
        ('[{"n": 1}] and more', [(1, ""), (2, "no JSON from here on: Expecting value")]),
        ('[{"n": 1}]]', [(1, ""), (2, "no JSON from here on: Expecting value")]),
        ('[{"n": 1}][{"n": 2}', [(1, ""), (2, ""), (3, "the list isn't closed: the file is cut off")]),
    ],
)
def test_what_stands_behind_a_list_is_read_too(text, rows, tmp_path):
    assert [(row.number, row.problem) for row in read_rows(written(tmp_path / "a.json", text.encode()))] == rows


def test_lines_that_are_conversations_without_a_key_are_named_one_by_one(tmp_path):
    line = json.dumps(ROWS[0]["messages"]) + "\n"
    report = lint_file(written(tmp_path / "a.jsonl", (line * 3).encode()))
    assert (report.lines, report.unreadable) == (6, 6)


def test_keys_that_a_table_filled_with_nothing_are_left_out(tmp_path):
    call = {"type": "function", "function": {"name": "f", "arguments": {"city": "Rome"}}}
    other = {"type": "function", "function": {"name": "g", "arguments": {"n": 1}}}
    rows = [{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [one]}]} for one in (call, other)]
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert [from_trl(row.fields or {}) for row in read_rows(path)] == [from_trl(row) for row in rows]


def test_a_row_of_a_table_that_json_cannot_say_does_not_end_the_file(tmp_path, vocabulary):
    odd = {"when": datetime(2026, 1, 31, tzinfo=UTC), "price": Decimal("1.50"), "data": b"x"}
    calls_of = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": odd}}]}
    plain = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_pylist([{"messages": [plain[0], calls_of]}, {"messages": plain}]), path)
    report = lint_file(path)
    assert [(finding.line, finding.code) for finding in report.findings] == [(1, "bad-line")]
    assert "which JSON can't say" in report.findings[0].message
    assert [bool(one.problem) for one in convert(read_rows(path), "trl", vocabulary)] == [True, False]


def nested(depth):
    return '{"type":"array","items":' * depth + "{}" + "}" * depth


@pytest.mark.parametrize(
    "row",
    [
        {"messages": ROWS[1]["messages"], "tools": json.dumps([{"name": "f", "parameters": nested(400)}])},
        {"messages": ROWS[1]["messages"], "tools": [{"name": "f", "parameters": '{"minimum": ' + "9" * 5000 + "}"}]},
        {"messages": ROWS[1]["messages"], "tools": [{"name": "f", "parameters": json.loads(nested(150))}]},
        {"messages": ROWS[1]["messages"], "response_formats": [{"type": "x", "json_schema": json.loads(nested(300))}]},
        {"messages": [{"role": "user", "content": json.loads(nested(400))}]},
        {
            "messages": [
                *ROWS[1]["messages"][:1],
                {"role": "assistant", "content": f'<tool_call>{{"name": "f", "arguments": {nested(400)}}}</tool_call>'},
            ]
        },
        {"conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": nested(400)}]},
    ],
)
def test_what_is_too_deep_or_too_large_is_a_row_with_a_problem(row, tmp_path, vocabulary):
    for path in (written(tmp_path / "a.jsonl", lines([row, ROWS[0]])), written(tmp_path / "a.json", json.dumps([row, ROWS[0]]).encode())):
        report = lint_file(path)
        assert report.findings[0].line == 1 and report.findings[0].severity == "error"
        assert report.samples == 1
        assert [bool(one.problem) for one in convert(read_rows(path), "ids", vocabulary)] == [True, False]


def test_special_tokens_inside_data_do_not_become_tokens_of_a_transcript(vocabulary):
    said = [FileRow(1, to_trl(talk(user("q<|end|><|start|>assistant"), answers("a")))), FileRow(2, to_trl(TALK))]
    found = list(convert(said, "text", vocabulary))
    assert [(one.number, bool(one.rows)) for one in found] == [(1, False), (2, True)]
    assert "read back as other tokens" in found[0].problem
    assert all(one.rows for one in convert(said, "ids", vocabulary))


def test_a_damaged_archive_says_from_where(tmp_path):
    rows = list(read_rows(written(tmp_path / "a.jsonl.gz", gzip.compress(lines(ROWS))[:-20])))
    assert rows[-1].fields is None and "damaged from here on" in rows[-1].problem


def test_a_line_too_long_to_hold_is_named_and_the_next_one_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LONGEST_ROW", 1 << 20)
    path = written(tmp_path / "a.jsonl", b'{"text": "' + b"x" * (1 << 21) + b'"}\n' + lines(ROWS[:1]))
    assert [(row.number, row.problem) for row in read_rows(path)] == [(1, "longer than 1 MiB"), (2, "")]


def test_what_is_no_table_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no readable Parquet"):
        list(read_rows(written(tmp_path / "a.parquet", b"PAR1 and no more")))
    with pytest.raises(InputError, match="can't be read"):
        list(read_rows(tmp_path))


def test_rows_go_from_every_form_into_every_other(vocabulary):
    first = FileRow(1, to_trl(TALK))
    for form in ("openai", "trl", "sharegpt", "hermes", "ids", "text"):
        (there,) = convert([first], form, vocabulary)
        (back,) = convert([FileRow(1, there.rows[0])], "trl", vocabulary)
        assert (there.problem, back.problem) == ("", "")
        assert from_trl(back.rows[0]) == TALK, form


def test_ids_are_one_row_per_user_turn_with_labels(vocabulary):
    conversation = talk(user("1"), thinks("t"), answers("a"), user("2"), answers("b"))
    (converted,) = convert([FileRow(1, to_trl(conversation))], "ids", vocabulary)
    samples = render_samples(conversation, vocabulary)
    assert list(converted.rows) == [{"input_ids": sample.ids, "labels": sample.labels()} for sample in samples]


def test_a_row_that_cannot_be_converted_is_named_and_the_rest_goes_on(vocabulary):
    broken = '<tool_call>{"name": }</tool_call>'
    rows = [
        FileRow(1, {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": broken}]}),
        FileRow(2, None, "no JSON: x"),
        FileRow(3, {"messages": [{"role": "user", "content": "q"}]}),
        FileRow(4, {"n": 1}),
        FileRow(5, to_trl(TALK)),
    ]
    found = list(convert(rows, "ids", vocabulary))
    assert [(one.number, bool(one.rows)) for one in found] == [(1, False), (2, False), (3, False), (4, False), (5, True)]
    assert [one.problem.split(",")[0][:24] for one in found] == [
        "turn 1 has a call '{\"nam",
        "no JSON: x",
        "the assistant says nothi",
        "the row has the keys ['n",
        "",
    ]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conversation=conversations)
def test_a_sample_reads_back_as_its_turn(conversation, vocabulary):
    for sample, again in zip(render_samples(conversation, vocabulary), _again(conversation, vocabulary), strict=True):
        assert again.ids == sample.ids


def _again(conversation, vocabulary):
    for sample in render_samples(conversation, vocabulary):
        yield render_samples(from_transcript(sample.ids, vocabulary), vocabulary)[-1]


def test_built_in_tools_date_and_effort_are_read_from_a_transcript(vocabulary):
    told = {"builtin_tools": ("browser", "python"), "date": "2026-01-31", "effort": "high", "instructions": "Be brief."}
    conversation = TALK.model_copy(update=told)
    (sample,) = render_samples(conversation, vocabulary)
    assert from_transcript(sample.ids, vocabulary) == conversation
    assert transcript_ids(vocabulary.decode(sample.ids), vocabulary) == sample.ids


def test_functions_do_not_come_back_from_a_transcript(vocabulary):
    (sample,) = render_samples(CALLED.model_copy(update={"tools": (Tool(name="f", description=""),)}), vocabulary)
    with pytest.raises(InputError, match="functions can't be read back"):
        from_transcript(sample.ids, vocabulary)


def test_messages_written_for_openai_are_rows_that_lint_reads(tmp_path):
    path = written(tmp_path / "a.jsonl", lines([{"messages": to_openai_messages(CALLED)}]))
    assert lint_file(path).ok


def test_a_sharegpt_file_of_mixed_quality_keeps_what_is_sound(tmp_path, vocabulary):
    path = written(
        tmp_path / "a.jsonl", lines([{"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}]) + b"{\n"
    )
    found = list(convert(read_rows(path), "sharegpt", vocabulary))
    assert [bool(one.problem) for one in found] == [False, True]
    assert from_sharegpt(found[0].rows[0]).messages == (user("q"), answers("a"))
