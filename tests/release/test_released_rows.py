import json

import pytest

from castalia.harmony import Style, from_trl, gpt_oss_vocabulary, lint_conversation, render_samples
from castalia.records import Conversation, Message, ResponseFormat, Tool
from castalia.release.layouts import trl_row, turns_of
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


def test_code_for_the_built_in_python_tool_is_released_as_it_stands():
    code = Message(role="assistant", channel="analysis", recipient="python", content="print(2 * 60)", content_type="code")
    told = Message(role="tool", channel="analysis", name="python", content="120")
    row = conversation_columns(Conversation(messages=(ASK, code, told, SAY), builtin_tools=("python",)))
    assert trl_row(row)["messages"][1]["tool_calls"][0]["function"] == {"name": "python", "arguments": "print(2 * 60)"}
    assert turns_of(row)[0]["completion"][0]["tool_calls"][0]["function"]["arguments"] == "print(2 * 60)"


ASK = Message(role="user", content="How long?")
SAY = Message(role="assistant", channel="final", content="Two minutes.")
CALL = Message(role="assistant", channel="commentary", recipient="functions.look", content="{}", content_type="json")
RESULT = Message(role="tool", channel="commentary", name="functions.look", content="brown")


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
