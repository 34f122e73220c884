"""Good and bad answers to one prompt: nobody may learn to say the bad one."""

import json

import pytest
from harmony_cases import answers, calls, conversations, odd_conversations, returns, says, talk, thinks, user
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.errors import InputError
from castalia.harmony import FileRow, convert, from_trl, render_samples, to_trl
from castalia.harmony.preference import Preference, read_preference, write_preference
from castalia.records import Tool

ASKED = [{"role": "user", "content": "q"}]
GOOD, BAD = [{"role": "assistant", "content": "good"}], [{"role": "assistant", "content": "BAD"}]
PAIR = {"prompt": ASKED, "chosen": GOOD, "rejected": BAD}
WHOLE = {"chosen": ASKED + GOOD, "rejected": ASKED + BAD}
MARKED = [{"prompt": ASKED, "completion": GOOD, "label": True}, {"prompt": ASKED, "completion": BAD, "label": False}]


def converted(rows, to, vocabulary):
    return list(convert([FileRow(number, row) for number, row in enumerate(rows, 1)], to, vocabulary))


@pytest.mark.parametrize("form", ["openai", "sharegpt", "hermes", "ids", "text"])
def test_where_a_form_cannot_mark_the_rejected_answer_only_the_chosen_one_is_written(form, vocabulary):
    found = converted([PAIR, WHOLE, *MARKED], form, vocabulary)
    assert [(len(one.rows), one.rejected, one.problem) for one in found] == [(1, 1, ""), (1, 1, ""), (1, 0, ""), (0, 1, "")]
    written = [row for one in found for row in one.rows]
    told = [vocabulary.decode(row["input_ids"]) if form == "ids" else json.dumps(row) for row in written]
    assert all("good" in text and "BAD" not in text for text in told)


def test_a_preference_row_of_trl_stays_one(vocabulary):
    found = converted([PAIR, WHOLE, *MARKED], "trl", vocabulary)
    given = {"chat_template_kwargs": {"reasoning_effort": "medium"}}
    assert [row for one in found for row in one.rows] == [{**row, **given} for row in (PAIR, WHOLE, *MARKED)]
    assert [one.rejected for one in found] == [0, 0, 0, 0]


def test_a_pair_keeps_its_tools_effort_and_shared_beginning():
    prompt = talk(user("q"), thinks("t"), calls("f", "{}"), returns("f", "r"), instructions="Be brief.")
    prompt = prompt.model_copy(update={"tools": (Tool(name="f", description="Looks."),), "effort": "high", "date": "2026-01-31"})
    both = [
        prompt.model_copy(update={"messages": (*prompt.messages, *end)})
        for end in ((thinks("so"), answers("a")), (says("x"), answers("b")))
    ]
    row = write_preference(Preference(*both, prompt))
    assert (len(row["prompt"]), len(row["chosen"]), row["date"]) == (4, 1, "2026-01-31")
    assert row["chat_template_kwargs"] == {"reasoning_effort": "high"} and row["tools"][0]["function"]["name"] == "f"
    assert read_preference(json.loads(json.dumps(row))) == Preference(*both, prompt)


@settings(deadline=None, max_examples=80)
@given(prompt=st.one_of(conversations, odd_conversations), ends=st.tuples(conversations, conversations), apart=st.booleans())
def test_a_written_preference_reads_back(prompt, ends, apart):
    prompt = prompt.model_copy(update={"messages": (*prompt.messages, user("so?"))})
    both = [prompt.model_copy(update={"messages": prompt.messages + end.messages}) for end in ends]
    for preference in (Preference(both[0], both[1], prompt if apart else None), Preference(None, both[1], prompt)):
        assert read_preference(json.loads(json.dumps(write_preference(preference)))) == preference


def test_answers_that_one_row_cannot_hold_are_refused():
    told = [to_trl(talk(user("q"), answers("a"), instructions=f'<tools>[{{"name": "{name}"}}]</tools>')) for name in "fg"]
    system = [{"role": "system", "content": row["instructions"]} for row in told]
    row = {"chosen": [system[0], *told[0]["messages"]], "rejected": [system[1], *told[1]["messages"]]}
    preference = read_preference(row)
    assert preference and preference.chosen and preference.chosen.tools[0].name == "f"
    with pytest.raises(InputError, match="different tools"):
        write_preference(preference)
    begun = talk(user("q"), thinks("t"))
    with pytest.raises(InputError, match="inside the last message of the prompt"):
        write_preference(Preference(talk(user("q"), thinks("t"), answers("a")), talk(user("q"), thinks("t"), answers("b")), begun))


def test_messages_beside_a_pair_are_what_is_read(vocabulary):
    row = {"messages": ASKED + GOOD, "chosen": GOOD, "rejected": BAD}
    (found,) = converted([row], "ids", vocabulary)
    (sample,) = render_samples(from_trl({"messages": ASKED + GOOD}), vocabulary)
    assert found.rows[0]["input_ids"] == sample.ids
