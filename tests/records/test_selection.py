from castalia.records import Conversation, Evidence, Message, SFTExample
from castalia.records.selection import spread


def example(section: str, number: int, category: str, kind: str = "grounded-answer") -> SFTExample:
    messages = (Message(role="user", content=f"{section} {number}"), Message(role="assistant", channel="final", content="yes"))
    return SFTExample(
        subject=f"{section}/sft/{number}", section=section, kind=kind, category=category, node=f"{category}/n", difficulty="easy",
        conversation=Conversation(messages=messages), evidence=(Evidence(document="d", url="u", blocks=(0,)),), atoms=(),
    )  # fmt: skip


def subjects(examples: list[SFTExample]) -> list[str]:
    return [e.subject for e in examples]


def test_categories_take_turns_and_a_section_gives_one_example():
    pool = [example(s, n, c) for s in ("a#0-1", "b#0-1", "c#0-1") for n, c in ((2, "skills"), (10, "knowledge"), (9, "knowledge"))]
    assert subjects(spread(pool, 3)) == ["a#0-1/sft/2", "b#0-1/sft/9", "c#0-1/sft/2"]


def test_traces_and_dialogues_are_never_chosen():
    assert spread([example("a#0-1", 1, "skills", "agent-trace"), example("b#0-1", 1, "skills", "dialogue")], 5) == []


def test_the_choice_does_not_depend_on_the_order_given_and_an_edit_elsewhere_does_not_move_it():
    pool = [example(f"{s}#0-1", n, c) for s in "abcdef" for n, c in enumerate(("skills", "knowledge", "behavioral"), 1)]
    before = subjects(spread(pool, 4))
    assert subjects(spread(pool[::-1], 4)) == before
    assert subjects(spread([*pool, example("f#0-1", 7, "procedural-late".partition("-")[0])], 4))[0] == before[0]
    assert subjects(spread([*pool, example("z#0-1", 1, "knowledge")], 4)) == before


def test_passages_give_a_second_example_after_each_gave_its_first_and_a_larger_count_only_adds():
    pool = [example(s, n, c) for s in ("a#0-1", "b#0-1") for n, c in ((1, "knowledge"), (2, "skills"), (3, "knowledge"))]
    everything = subjects(spread(pool, 9))
    assert len(everything) == len(set(everything)) == 6
    assert [{subject[0] for subject in everything[first : first + 2]} for first in (0, 2, 4)] == [{"a", "b"}] * 3
    assert all(subjects(spread(pool, count)) == everything[:count] for count in range(7))
