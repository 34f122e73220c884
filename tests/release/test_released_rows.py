import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.harmony import Style, from_trl, gpt_oss_vocabulary, lint_conversation, render_samples
from castalia.records import Conversation, Message, ResponseFormat, Tool
from castalia.release.layouts import chat, trl_row, turns_of
from castalia.release.rows import conversation_columns

TALK = Conversation(
    instructions="Answer shortly.",
    messages=(
        Message(role="user", content="How long does it steep?"),
        Message(role="assistant", channel="final", content='{"minutes": 2}'),
    ),
    response_formats=(ResponseFormat(name="time", json_schema='{"type": "object"}'),),
    date="2026-01-31",
)


def test_everything_that_a_conversation_declares_comes_back_from_a_released_row():
    row = json.loads(json.dumps(trl_row(conversation_columns(TALK))))
    assert from_trl(row) == TALK


def test_built_in_tools_come_back_from_a_released_row_beside_functions():
    functions = (Tool(name="look", description="Looks.", parameters='{"type": "object"}'),)
    talk = TALK.model_copy(update={"builtin_tools": ("browser", "python"), "tools": functions})
    row = json.loads(json.dumps(trl_row(conversation_columns(talk))))
    assert from_trl(row) == talk
    assert row["chat_template_kwargs"]["builtin_tools"] == ["browser", "python"]


ASK = Message(role="user", content="How long?")
SAY = Message(role="assistant", channel="final", content="Two minutes.")
CALL = Message(role="assistant", channel="commentary", recipient="functions.look", content="{}", content_type="json")
PREAMBLE = Message(role="assistant", channel="commentary", content="I look it up.")
RESULT = Message(role="tool", channel="commentary", name="functions.look", content="brown")


def test_code_for_the_built_in_python_tool_is_released_as_it_stands_and_never_as_arguments_that_readers_parse():
    code = Message(role="assistant", channel="analysis", recipient="python", content="print(2 * 60)", content_type="code")
    told = Message(role="tool", channel="analysis", name="python", content="120")
    talk = Conversation(messages=(ASK, code, told, SAY), builtin_tools=("python",))
    row = conversation_columns(talk)
    alone = {"role": "assistant", "channel": "analysis", "recipient": "python", "content_type": "code", "content": "print(2 * 60)"}
    assert trl_row(row)["messages"][1] == alone
    assert turns_of(row)[0]["completion"][0] == alone
    assert same_tokens(talk, from_trl(trl_row(row)))


@pytest.mark.parametrize(
    ("messages", "learned"),
    [
        ((ASK, SAY), [1]),
        ((ASK, ASK, SAY), [1]),
        ((ASK, SAY, ASK), [1]),
        ((ASK, SAY, ASK, CALL, RESULT, SAY), [1, 3]),
        ((ASK, CALL, RESULT), [1]),
        ((SAY,), []),
        ((RESULT,), []),
    ],
)
def test_every_turn_with_tokens_to_learn_is_a_row_of_prompt_and_completion_and_no_other(messages: tuple[Message, ...], learned: list[int]):
    talk = Conversation(messages=messages)
    rows = turns_of(conversation_columns(talk))
    assert [len(row["completion"]) for row in rows] == learned
    assert all(row["prompt"][-1]["role"] == "user" and row["completion"][-1]["role"] == "assistant" for row in rows)
    assert len(render_samples(talk, gpt_oss_vocabulary(), Style())) == len(rows)


@pytest.mark.parametrize("messages", [(SAY,), (ASK,)])
def test_a_conversation_without_a_turn_to_learn_does_not_pass_lint(messages: tuple[Message, ...]):
    found = lint_conversation(Conversation(messages=messages), gpt_oss_vocabulary())
    assert [finding.severity for finding in found if finding.code == "no-answer"] == ["error"]


def thought(text: str) -> Message:
    return Message(role="assistant", channel="analysis", content=text)


def same_tokens(one: Conversation, other: Conversation) -> bool:
    """Whether both are the same to the model. A result without a channel stands on that of its call."""
    vocabulary = gpt_oss_vocabulary()
    return [sample.ids for sample in render_samples(one, vocabulary, Style())] == [
        sample.ids for sample in render_samples(other, vocabulary, Style())
    ]


PYTHON = Message(role="assistant", channel="analysis", recipient="python", content="1 + 1", content_type="code")
PRINTED = Message(role="tool", channel="analysis", name="python", content="2")
LIST = CALL.model_copy(update={"content": "[1, 2]"})
STEPS = (SAY, CALL, RESULT, PREAMBLE, thought("So."), thought("Or else."), PYTHON, PRINTED, LIST)


@given(st.lists(st.sampled_from(STEPS), max_size=8))
def test_whatever_the_assistant_does_comes_back_from_a_released_row(steps: list[Message]):
    called: set[str | None] = set()
    said = [ASK]
    for step in (*steps, SAY):
        if step.role != "tool" or step.name in called:
            said.append(step)
        called.add(step.recipient)
    talk = Conversation(messages=tuple(said), builtin_tools=("python",))
    row = json.loads(json.dumps(trl_row(conversation_columns(talk))))
    again = from_trl(row)
    assert [(m.role, m.recipient, m.content) for m in again.messages] == [(m.role, m.recipient, m.content) for m in talk.messages]
    assert same_tokens(talk, again)
    assert all(isinstance(message["content"], str) for message in row["messages"])
    arguments = [call["function"]["arguments"] for message in row["messages"] for call in message.get("tool_calls", ())]
    assert all(isinstance(value, dict) for value in arguments)


def looked(**more: str) -> dict[str, Any]:
    call: dict[str, Any] = {"type": "function", "function": {"name": "look", "arguments": {}}}
    return {"role": "assistant", "content": "", "tool_calls": [call], **more}


@pytest.mark.parametrize(
    ("messages", "turned"),
    [
        ((thought("So."), SAY), [{"role": "assistant", "content": "Two minutes.", "thinking": "So."}]),
        ((thought("So."), CALL), [looked(thinking="So.")]),
        ((PREAMBLE, CALL), [looked(content="I look it up.")]),
        ((CALL, CALL), [looked(), looked()]),
    ],
    ids=["thought", "thought and call", "preamble and call", "two calls"],
)
def test_chat_has_the_form_that_templates_render(messages: tuple[Message, ...], turned: list[dict[str, Any]]):
    assert chat([message.model_dump() for message in (ASK, *messages)])[1:] == turned


def test_every_row_has_every_column_as_text_so_that_readers_take_the_types_from_the_first_rows(tmp_path: Path):
    plain = conversation_columns(Conversation(messages=(ASK, SAY)))
    declared = TALK.model_copy(update={"date": None, "tools": (Tool(name="look", description="Looks.", parameters='{"type": "object"}'),)})
    rows = [trl_row(plain), trl_row(conversation_columns(declared))]
    assert rows[0].keys() == rows[1].keys()
    datasets = pytest.importorskip("datasets")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {"data_files": str(tmp_path / "rows.jsonl"), "split": "train", "cache_dir": str(tmp_path / "cache"), "chunksize": 10}
    loaded = datasets.load_dataset("json", **settings)
    assert [from_trl(row) for row in loaded] == [Conversation(messages=(ASK, SAY)), declared]
