import json

import pytest
from harmony_cases import answers, calls, conversations, odd_conversations, returns, says, talk, thinks, user
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.errors import InputError
from castalia.harmony import from_openai_messages, from_sharegpt, from_trl, to_hermes, to_openai_messages, to_sharegpt, to_trl
from castalia.records import Message, ResponseFormat, Tool

either = st.one_of(conversations, odd_conversations)
many = settings(deadline=None, max_examples=150)


@many
@given(conversation=either)
def test_openai_messages_give_the_same_messages_back(conversation):
    back = from_openai_messages(json.loads(json.dumps(to_openai_messages(conversation))), builtin_tools=conversation.builtin_tools)
    assert back.builtin_tools == conversation.builtin_tools
    assert (back.messages, back.instructions) == (conversation.messages, conversation.instructions)


@many
@given(conversation=either)
def test_a_trl_row_gives_the_same_conversation_back(conversation):
    assert from_trl(json.loads(json.dumps(to_trl(conversation)))) == conversation


@many
@given(conversation=either)
def test_a_sharegpt_row_gives_the_same_conversation_back(conversation):
    assert from_sharegpt(json.loads(json.dumps(to_sharegpt(conversation)))) == conversation


@many
@given(conversation=either)
def test_a_row_with_tags_gives_the_same_conversation_back(conversation):
    assert from_sharegpt(json.loads(json.dumps(to_hermes(conversation)))) == conversation


THOUGHT_CALLED_ANSWERED = talk(
    user("Weather?"),
    thinks("two cities"),
    says("I look."),
    calls("f", '{"city": "Rome"}'),
    calls("g", '{"city": "Ulm"}'),
    returns("f", "sun").model_copy(update={"channel": None}),
    returns("g", "rain").model_copy(update={"channel": None}),
    thinks("easy"),
    answers("Sun and rain."),
    instructions="Be brief.",
)


def test_openai_messages_have_thought_text_and_parallel_calls_in_one_message():
    function = {"name": "f", "arguments": '{"city": "Rome"}'}, {"name": "g", "arguments": '{"city": "Ulm"}'}
    assert to_openai_messages(THOUGHT_CALLED_ANSWERED) == [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning_content": "two cities",
            "tool_calls": [
                {"id": "call_3", "type": "function", "function": function[0]},
                {"id": "call_4", "type": "function", "function": function[1]},
            ],
        },
        {"role": "tool", "content": "sun", "name": "f", "tool_call_id": "call_3"},
        {"role": "tool", "content": "rain", "name": "g", "tool_call_id": "call_4"},
        {"role": "assistant", "content": "Sun and rain.", "reasoning_content": "easy"},
    ]


def test_trl_messages_have_thinking_and_arguments_as_objects():
    row = to_trl(THOUGHT_CALLED_ANSWERED.model_copy(update={"effort": "high"}))
    assert row["chat_template_kwargs"] == {"reasoning_effort": "high"}
    assert row["messages"][0] == {"role": "system", "content": "Be brief."}
    assert row["messages"][2]["thinking"] == "two cities"
    assert [call["function"]["arguments"] for call in row["messages"][2]["tool_calls"]] == [{"city": "Rome"}, {"city": "Ulm"}]
    assert row["messages"][3] == {"role": "tool", "content": "sun", "name": "f"}


def test_sharegpt_turns_have_the_thought_before_what_it_led_to():
    without_preamble = THOUGHT_CALLED_ANSWERED.model_copy(
        update={"messages": tuple(one for one in THOUGHT_CALLED_ANSWERED.messages if one.content != "I look.")}
    )
    assert to_sharegpt(without_preamble) == {
        "conversations": [
            {"from": "human", "value": "Weather?"},
            {
                "from": "function_call",
                "value": "<think>\ntwo cities\n</think>\n\n"
                '[{"name": "f", "arguments": {"city": "Rome"}}, {"name": "g", "arguments": {"city": "Ulm"}}]',
            },
            {"from": "observation", "value": "sun"},
            {"from": "observation", "value": "rain"},
            {"from": "gpt", "value": "<think>\neasy\n</think>\n\nSun and rain."},
        ],
        "system": "Be brief.",
        "reasoning_effort": "medium",
    }


def test_api_messages_become_channels():
    conversation = from_openai_messages(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "We"}, {"type": "text", "text": "ather?"}]},
            {
                "role": "assistant",
                "reasoning_content": "two cities",
                "content": "I look.",
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"city": "Rome"}'}},
                    {"id": "2", "type": "function", "function": {"name": "g", "arguments": {"city": "Ulm"}}},
                ],
            },
            {"role": "tool", "tool_call_id": "2", "content": "rain"},
            {"role": "tool", "name": "f", "content": "sun"},
            {"role": "assistant", "content": "Sun and rain."},
        ],
        tools=[{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
        response_format={"type": "json_schema", "json_schema": {"name": "report", "schema": {"type": "string"}, "strict": True}},
        effort="low",
        date="2026-01-31",
    )
    assert conversation.instructions == "Be brief."
    assert conversation.messages == (
        user("Weather?"),
        thinks("two cities"),
        says("I look."),
        calls("f", '{"city": "Rome"}'),
        calls("g", '{"city": "Ulm"}'),
        returns("g", "rain").model_copy(update={"channel": None}),
        returns("f", "sun").model_copy(update={"channel": None}),
        answers("Sun and rain."),
    )
    assert conversation.tools == (Tool(name="f", description="d", parameters='{"type": "object"}'),)
    assert conversation.response_formats == (ResponseFormat(name="report", json_schema='{"type": "string"}'),)
    assert (conversation.effort, conversation.date) == ("low", "2026-01-31")


def test_an_empty_answer_after_a_thought_stays_an_empty_final_and_none_is_none():
    asked = {"role": "user", "content": "q"}
    assert from_openai_messages([asked, {"role": "assistant", "thinking": "t", "content": ""}]).messages[1:] == (thinks("t"), answers(""))
    assert from_openai_messages([asked, {"role": "assistant", "thinking": "t", "content": None}]).messages[1:] == (thinks("t"),)


def test_the_older_single_function_call_is_a_call():
    called = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    conversation = from_openai_messages([{"role": "user", "content": "q"}, called, {"role": "function", "name": "f", "content": "r"}])
    assert conversation.messages[1:] == (calls("f", "{}"), Message(role="tool", name="functions.f", content="r"))


def test_rows_of_trl_are_read_in_both_kinds_and_with_tools_as_text():
    prompt, completion = [{"role": "user", "content": "q"}], [{"role": "assistant", "content": "a"}]
    declared = [{"name": "f", "description": "", "parameters": '{"type":"object"}'}]
    for tools in (declared, json.dumps(declared)):
        conversation = from_trl({"prompt": prompt, "completion": completion, "tools": tools, "instructions": "Be brief."})
        assert conversation.messages == (user("q"), answers("a"))
        assert (conversation.tools[0].parameters, conversation.instructions) == ('{"type":"object"}', "Be brief.")
    assert from_trl({"messages": prompt, "tools": "", "effort": "high"}).effort == "high"


FUNCTION = {"name": "f", "description": "Looks.", "parameters": {"type": "object"}}


@pytest.mark.parametrize(
    "row",
    [
        {"system": "Be brief.", "functions": [FUNCTION]},
        {"system_prompt": "Be brief.", "functions": json.dumps([FUNCTION])},
        {
            "instructions": "Be brief.",
            "system": "Be brief.",
            "tools": [{"type": "function", "function": FUNCTION}],
            "functions": [FUNCTION],
        },
        {"system": f"Be brief.\n<tools>[{json.dumps(FUNCTION)}]</tools>"},
    ],
)
def test_what_older_rows_say_beside_messages_is_read(row):
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    turns = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    declared = (Tool(name="f", description="Looks.", parameters='{"type": "object"}'),)
    for conversation in (
        from_trl({"messages": messages, **row}),
        from_trl({"prompt": messages[:1], "completion": messages[1:], **row}),
        from_sharegpt({"conversations": turns, **row}),
    ):
        assert (conversation.instructions, conversation.tools) == ("Be brief.", declared)


def test_a_system_message_is_not_said_twice():
    row = {"system": "Be brief.", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "q"}]}
    assert from_trl(row).instructions == "Be brief."
    assert from_trl({**row, "system": "Be kind."}).instructions == "Be kind.\n\nBe brief."


def test_sharegpt_of_other_writers_is_read():
    row = {
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "q"},
            {"from": "gpt", "value": "I look."},
            {"from": "function_call", "value": '{"name": "f", "arguments": {"a": 1}}'},
            {"from": "tool", "value": "r"},
            {"from": "gpt", "value": "<think>t</think>done"},
            {"from": "human", "value": "and?"},
            {"from": "gpt", "value": "<think>\n\n</think>\n\nno"},
        ],
        "tools": '[{"name": "f", "parameters": {"type": "object"}}]',
    }
    conversation = from_sharegpt(row)
    assert conversation.instructions == "Be brief."
    assert conversation.messages == (
        user("q"), says("I look."), calls("f", '{"a": 1}'), Message(role="tool", name="functions.f", content="r"),
        thinks("t"), answers("done"), user("and?"), answers("no"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([{"role": "critic", "content": "x"}], "message 0 has role 'critic'"),
        ([{"role": "user", "content": "x"}, {"role": "system", "content": "y"}], "message 1 has role 'system' behind"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "message 0 has a part of type 'image_url'"),
        ([{"role": "user", "content": 3}], "message 0 has content 3"),
        ([{"role": "tool", "content": "x"}], "message 0 answers tool call None"),
        ([{"role": "assistant", "tool_calls": [{"id": "1"}]}], "message 0 has a tool call without"),
        ([{"role": "assistant", "tool_calls": "f()"}], "message 0 has tool_calls 'f"),
        ([{"role": "assistant", "content": "x", "channel": "loud"}], "message 0:"),
        ([{"role": "assistant", "audio": {"id": "a"}}], "message 0 has audio"),
        ([{"role": "assistant", "content": "<think>a</think>b", "thinking": "c"}], "message 0 has two thoughts"),
        ([{"role": "assistant", "tool_calls": [{"type": "custom", "custom": {"name": "f", "input": "x"}}]}], "without a function name"),
    ],
)
def test_what_a_conversation_cannot_hold_is_named_by_message(messages, reason):
    with pytest.raises(InputError, match=reason):
        from_openai_messages(messages)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "q", "completion": "a"}, "'prompt' is the text 'q'"),
        ({"text": "x"}, "give 'messages', or 'prompt' and 'completion'"),
        ({"messages": [], "effort": "extreme"}, "effort is 'extreme'"),
        ({"messages": [], "date": 20260131}, "'date' is 20260131"),
        ({"messages": [], "tools": "{"}, "'tools' is the text '{'"),
        (
            {"messages": [], "tools": [{"type": "web_search"}]},
            "'web_search' is neither a function nor built into GPT-OSS: use browser, python",
        ),
        ({"messages": [], "builtin_tools": ["shell"]}, "'shell' is neither a function nor built into GPT-OSS: use browser, python"),
        ({"messages": [], "chat_template_kwargs": {"builtin_tools": "python"}}, "'builtin_tools' is the text 'python'"),
        ({"messages": [], "tools": [{"function": {"description": "d"}}]}, "has no function name"),
        ({"messages": [], "response_formats": [{"type": "json_object"}]}, "can't be shown"),
    ],
)
def test_what_a_trl_row_cannot_say_is_named(row, reason):
    with pytest.raises(InputError, match=reason):
        from_trl(row)


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([{"from": "critic", "value": "x"}], "turn 0 is from 'critic'"),
        ([{"from": "human", "value": "x"}, {"from": "system", "value": "y"}], "turn 1 is a system turn"),
        ([{"from": "human", "value": None}], "turn 0 has the value None"),
        ([{"from": "observation", "value": "x"}], "turn 0 is a result without a call"),
        ([{"from": "function_call", "value": "f()"}], "turn 0 is a call 'f"),
        ([{"from": "function_call", "value": "[]"}], "turn 0 is a call"),
        ([{"from": "gpt", "value": "x", "channel": "loud"}], "turn 0:"),
    ],
)
def test_what_a_sharegpt_row_cannot_say_is_named_by_turn(turns, reason):
    with pytest.raises(InputError, match=reason):
        from_sharegpt({"conversations": turns})


def test_content_in_parts_has_text_refusals_and_thoughts():
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}, {"type": "output_text", "text": "b"}, "c"]
    conversation = from_openai_messages([{"role": "user", "content": "q"}, {"role": "assistant", "content": parts}])
    assert conversation.messages[1:] == (thinks("hm"), answers("abc"))
    refused = [{"type": "refusal", "refusal": "No."}]
    assert from_openai_messages([{"role": "assistant", "content": refused}]).messages == (answers("No."),)


def test_a_refusal_is_the_final():
    refused = {"role": "assistant", "content": None, "refusal": "I can't."}
    assert from_openai_messages([{"role": "user", "content": "q"}, refused]).messages[1:] == (answers("I can't."),)


def test_results_without_id_and_name_answer_the_calls_in_order():
    two = [{"function": {"name": "f", "arguments": "{}"}}, {"function": {"name": "g", "arguments": "{}"}}]
    conversation = from_openai_messages(
        [{"role": "assistant", "tool_calls": two}, {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}]
    )
    assert [message.name for message in conversation.messages] == [None, None, "functions.f", "functions.g"]


def test_calls_of_built_in_tools_are_read_as_the_model_makes_them():
    called = {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "browser.search", "arguments": '{"query": "x"}'}}]}
    conversation = from_openai_messages([called, {"role": "tool", "tool_call_id": "1", "content": "r"}], [{"type": "browser"}])
    (call, result) = conversation.messages
    assert (call.recipient, call.channel, call.content_type) == ("browser.search", "analysis", "code")
    assert (result.name, conversation.builtin_tools) == ("browser.search", ("browser",))


def test_built_in_tools_are_what_the_chat_template_of_gpt_oss_takes():
    conversation = talk(user("q"), answers("a")).model_copy(update={"builtin_tools": ("browser", "python")})
    assert to_trl(conversation)["chat_template_kwargs"]["builtin_tools"] == ["browser", "python"]
