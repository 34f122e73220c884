import pytest
from harmony_cases import answers, calls, conversations, returns, says, thinks, user
from hypothesis import given, settings

from castalia.errors import InputError
from castalia.harmony import from_openai_messages, to_openai_messages


@settings(deadline=None)
@given(conversation=conversations)
def test_messages_survive_the_way_there_and_back(conversation):
    back = from_openai_messages(to_openai_messages(conversation))
    assert (back.messages, back.instructions) == (conversation.messages, conversation.instructions)


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
    assert [tool.name for tool in conversation.tools] == ["f"]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([{"role": "critic", "content": "x"}], "message 0 has role 'critic'"),
        ([{"role": "user", "content": "x"}, {"role": "system", "content": "y"}], "message 1 has role 'system' behind"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "message 0 has content"),
        ([{"role": "tool", "content": "x"}], "message 0 answers tool call None"),
        ([{"role": "assistant", "tool_calls": [{"id": "1"}]}], "message 0 has a tool call without"),
        ([{"role": "assistant", "content": "x", "channel": "loud"}], "message 0:"),
    ],
)
def test_what_a_conversation_cannot_hold_is_named_by_message(messages, reason):
    with pytest.raises(InputError, match=reason):
        from_openai_messages(messages)
