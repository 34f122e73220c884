"""Chat data that keeps thoughts, calls, results and functions as tags in its text."""

import contextlib
import json
import time

import pytest
from harmony_cases import answers, calls, returns, says, talk, thinks, user

from castalia.errors import InputError
from castalia.harmony import from_openai_messages, from_sharegpt, from_trl, to_hermes
from castalia.records import Tool

HERMES = (
    "You are a function calling AI model. You are provided with function signatures within <tools></tools> XML tags. Answer in German. "
    'Here are the available tools:<tools> [{"type": "function", "function": {"name": "f", "description": "Looks.", '
    '"parameters": {"type": "object"}}}] </tools>Use the following pydantic model json schema for each tool call you will make: '
    '{"title": "FunctionCall", "type": "object"} For each function call return a json object within <tool_call></tool_call> XML tags:\n'
    "<tool_call>\n{'arguments': <args-dict>, 'name': <function-name>}\n</tool_call>"
)
QWEN = (
    "Be brief.\n\n# Tools\n\nYou are provided with function signatures within <tools></tools> XML tags:\n<tools>\n"
    '{"type": "function", "function": {"name": "f", "parameters": {}}}\n{"type": "function", "function": {"name": "g", "parameters": {}}}\n'
    '</tools>\n\nFor each function call, return a json object within <tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <n>}\n</tool_call>'
)


def silent(message):
    return message.model_copy(update={"channel": None})


def turns(*pairs):
    return {"conversations": [{"from": speaker, "value": value} for speaker, value in pairs]}


def test_a_row_of_hermes_has_functions_thoughts_calls_and_results():
    conversation = from_sharegpt(
        turns(
            ("system", HERMES),
            ("human", "Weather?"),
            (
                "gpt",
                "<think>\ntwo cities\n</think>\nI look.\n<tool_call>\n{'arguments': {'city': 'Rome'}, 'name': 'f'}\n</tool_call>\n"
                '<tool_call>\n{"name": "g", "arguments": {"city": "</tool_call>"}}\n</tool_call>',
            ),
            (
                "tool",
                '<tool_response>\n{"name": "f", "content": {"sky": "sun"}}\n</tool_response>\n<tool_response>\nrain\n</tool_response>\n',
            ),
            ("gpt", "<think>\n\n</think>\n\nSun and rain."),
        )
    )
    assert conversation.messages == (
        user("Weather?"),
        thinks("two cities"),
        says("I look."),
        calls("f", '{"city": "Rome"}'),
        calls("g", '{"city": "</tool_call>"}'),
        silent(returns("f", '{"sky": "sun"}')),
        silent(returns("g", "rain")),
        answers("Sun and rain."),
    )
    assert conversation.tools == (Tool(name="f", description="Looks.", parameters='{"type": "object"}'),)
    assert conversation.instructions == "You are a function calling AI model. Answer in German."


def test_messages_with_tags_are_read_like_rows_with_them():
    messages = [
        {"role": "system", "content": QWEN},
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": '<think>hm</think><tool_call>\n{"name": "f", "arguments": {}}\n{"name": "g"}\n</tool_call>'},
        {"role": "tool", "content": "<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response>"},
        {"role": "assistant", "content": "done"},
    ]
    conversation = from_trl({"messages": messages})
    assert conversation.messages == (
        user("q"), thinks("hm"), calls("f", "{}"), calls("g", "{}"), silent(returns("f", "1")), silent(returns("g", "2")), answers("done"),
    )  # fmt: skip
    assert [tool.name for tool in conversation.tools] == ["f", "g"]
    assert conversation.instructions == "Be brief.\n\n# Tools"
    assert from_openai_messages(messages) == conversation


def test_functions_given_beside_messages_count_instead_of_those_in_tags():
    row = {**turns(("system", HERMES), ("human", "q"), ("gpt", "a")), "tools": json.dumps([{"name": "h", "parameters": {}}])}
    assert [tool.name for tool in from_sharegpt(row).tools] == ["h"]


@pytest.mark.parametrize(
    "text",
    [
        "Write it in `<tool_call>` tags.",
        "Like this:\n```\n<tool_call>\n{}\n</tool_call>\n```\nNothing else.",
        "The <tool_call> tag holds JSON.",
        "See <think> in the docs.",
    ],
)
def test_tags_that_a_text_speaks_of_are_text(text):
    assert from_sharegpt(turns(("human", "q"), ("gpt", text))).messages[1:] == (answers(text),)
    assert from_openai_messages([{"role": "assistant", "content": text}]).messages == (answers(text),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            '<tool_call>\n{"name": "f", "arguments": {"a": }}\n</tool_call>',
            'has a call \'{"name": "f", "arguments": {"a": }}\', which is no JSON',
        ),
        ("<tool_call>\n<function=f>\n</function>\n</tool_call>", "has a call '<function=f>"),
        ('<tool_call>{"arguments": {}}</tool_call>', "is a call"),
        ('<tool_call>{"name": "f"}</tool_call> and now?', "says 'and now[?]' behind a call"),
    ],
)
def test_a_call_that_cannot_be_read_is_named_by_its_turn(text, reason):
    with pytest.raises(InputError, match=f"turn 1 {reason}"):
        from_sharegpt(turns(("human", "q"), ("gpt", text)))
    with pytest.raises(InputError, match=f"message 1 {reason}"):
        from_openai_messages([{"role": "user", "content": "q"}, {"role": "assistant", "content": text}])


def test_functions_in_tags_that_are_no_json_are_named():
    with pytest.raises(InputError, match="turn 0 declares functions in <tools>"):
        from_sharegpt(turns(("system", "<tools>[{]</tools>"), ("human", "q")))


def test_a_row_is_written_as_hermes_models_know_it():
    conversation = talk(
        user("q"), thinks("t"), says("I look."), calls("f", '{"a": 1}'), calls("g", "{}"),
        silent(returns("f", "sun")), silent(returns("g", "{}")), answers("a"), instructions="Be brief.",
    ).model_copy(update={"tools": (Tool(name="f", description="Looks."),)})  # fmt: skip
    row = to_hermes(conversation)
    assert [turn["from"] for turn in row["conversations"]] == ["system", "human", "gpt", "tool", "gpt"]
    system, _, called, results, _ = (turn["value"] for turn in row["conversations"])
    assert system.startswith("Be brief.\n\n") and '<tools>\n{"type": "function", "function": {"name": "f"' in system
    assert called == (
        '<think>\nt\n</think>\n\nI look.\n<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>\n'
        '<tool_call>\n{"name": "g", "arguments": {}}\n</tool_call>'
    )
    assert results == (
        '<tool_response>\n{"name": "f", "content": "sun"}\n</tool_response>\n<tool_response>\n{"name": "g", "content": {}}\n</tool_response>'
    )
    assert from_sharegpt(row) == conversation


LONG = 100_000


@pytest.mark.parametrize(
    "text",
    [
        "json schema for each tool call " * (LONG // 31),
        "x" * LONG,
        "<tools>[" * (LONG // 8),
        "<tools>{" + " " * LONG,
        "</tools>" + "<tools>[" * (LONG // 8),
        "<tool_call>{" * (LONG // 12),
        "```\n" + "<tool_call>\n" * (LONG // 12),
        "```\n" + "<tool_call>{" * (LONG // 12),
        "<tool_response>" * (LONG // 15),
        "<tool_response></tool_response>" + " " * LONG + "x",
        "<think>" * (LONG // 7),
        " " * LONG + "<think>",
    ],
)
def test_long_text_with_many_tags_is_read_in_a_moment(text):
    told = f"<tools>[]</tools>{text}"
    start = time.process_time()
    for read in (
        lambda: from_sharegpt(turns(("system", told), ("human", "q"))),
        lambda: from_sharegpt(turns(("system", text), ("human", "q"))),
        lambda: from_sharegpt(turns(("human", "q"), ("gpt", text))),
        lambda: from_openai_messages([{"role": "tool", "name": None, "content": text}]),
    ):
        with contextlib.suppress(InputError):
            read()
    assert time.process_time() - start < 2


def test_the_announcement_of_the_schema_of_calls_is_left_out_with_the_schema():
    told = 'Be kind. Use this JSON schema for each tool call: {"title": "F"} Bye.\n<tools>[]</tools>'
    assert from_sharegpt(turns(("system", told), ("human", "q"))).instructions == "Be kind. Bye."


def test_turns_may_say_role_and_content():
    row = {"conversations": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    assert from_sharegpt(row).messages == (user("q"), answers("a"))
