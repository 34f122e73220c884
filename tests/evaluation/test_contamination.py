"""Copies, edits and near copies of protected items are found; other questions on the same fact are not."""

import pytest

from castalia.evaluation.contamination import TrainingText, find_leaks
from castalia.records import Bank, Check, Conversation, Message, SuiteItem, Tool


def item(number: int, text: str, reference: str = "yes", bank: Bank = "gate", cluster: str = "") -> SuiteItem:
    prompt = Conversation(
        messages=(Message(role="user", content=text),),
        instructions="You edit templates with the tools you are given and you never invent a file that is not there at all.",
        tools=(Tool(name="read_file", description="Reads one file of the workspace and returns its text, or says that it is not there."),),
    )
    return SuiteItem(
        subject=f"n/{bank}/{number}",
        bank=bank,
        category="knowledge",
        node="knowledge/n",
        cluster=cluster or f"c{number}",
        prompt=prompt,
        check=Check(kind="contains", expected=(reference,)),
        reference=reference,
    )


SHORT = "What does the `h` filter do in Mako?"
LONG = (
    "A template inherits from base.html and defines a block named header twice, once inside a def. "
    "Which of the two definitions is rendered when the page is requested?"
)


def methods(prompt: str, answer: str, *protected: SuiteItem) -> list[str]:
    return [leak.method for leak in find_leaks([TrainingText("sft_1", prompt, answer)], protected)]


@pytest.mark.parametrize(
    ("prompt", "answer", "method"),
    [
        ("what does the h filter do, in Mako", "It escapes.", "exact"),
        ("In Mako, what does the `h` filter do?", "It escapes.", "exact"),
        ("I read the docs. What does the `h` filter do in Mako? Please explain it briefly.", "It escapes.", "near-identical"),
        ("What does the `h` filter do in Mako templates?", "It escapes.", "near-identical"),
    ],
)
def test_copies_of_a_short_question_are_found(prompt: str, answer: str, method: str) -> None:
    assert methods(prompt, answer, item(1, SHORT, "escapes HTML")) == [method]


@pytest.mark.parametrize(
    "prompt",
    [
        "What does the `u` filter do in Mako?",
        "Which filter escapes HTML in a Mako expression?",
        "How do I escape markup in Mako output?",
        "What does the `trim` filter do to an expression?",
        "",
    ],
)
def test_other_questions_on_the_same_fact_are_not_flagged(prompt: str) -> None:
    assert methods(prompt, "The h filter escapes HTML.", item(1, SHORT, "escapes HTML")) == []


def test_questions_that_differ_only_in_symbols_are_different() -> None:
    assert methods("What does `<%!` open in Mako?", "A module block.", item(1, "What does `<%` open in Mako?")) == []
    assert methods("What does `<%` open in Mako?", "A block.", item(1, "What does `<%` open in Mako?")) == ["exact"]


def test_a_long_passage_is_found_in_prompt_or_answer() -> None:
    edited = (
        "My page has a problem. A template inherits from base.html and defines a block named header twice, once inside a def. What now?"
    )
    assert methods(edited, "Hm.", item(1, LONG)) == ["13-gram"]
    assert methods("Tell me about blocks.", edited, item(1, LONG)) == ["13-gram"]


def test_eight_words_count_only_together_with_the_answer() -> None:
    prompt = "Say why it fails: a template defines a block named header twice, once inside another file."
    assert methods(prompt, "The inner one is rendered first.", item(1, LONG, "the inner one")) == ["8-gram+answer"]
    assert methods(prompt, "Names must be unique.", item(1, LONG, "the inner one")) == []
    assert methods(prompt, "It is a mistake.", item(1, LONG, "A")) == []


def test_a_memorized_reference_is_found() -> None:
    reference = " ".join(f"line{n} of the program" for n in range(8))
    assert methods("Write it.", reference, item(1, "Write the program that counts lines.", reference)) == ["answer"]


def test_boilerplate_of_the_suite_is_no_leak() -> None:
    form = "Answer with the letter of the right option only, and write nothing before or after it please."
    protected = [item(n, f"{q} {form}") for n, q in enumerate(["Which tag ends a block?", "Where do defs live?", "Who calls caller.body?"])]
    assert methods(f"Which sign starts a control line? {form}", "B", *protected) == []


def test_shared_instructions_and_tools_do_not_count() -> None:
    first, second = item(1, "Rename title.html to head.html."), item(2, "Add a footer to page.html.")
    text = TrainingText("sft_1", second.prompt.messages[0].content, "Done.")
    assert find_leaks([text], [first]) == []


def test_dev_items_may_be_trained_on() -> None:
    assert methods(SHORT, "It escapes.", item(1, SHORT, bank="dev")) == []


def test_a_leak_names_record_item_and_shared_words() -> None:
    (leak,) = find_leaks([TrainingText("sft_7", SHORT, "It escapes.")], [item(1, SHORT, bank="vault"), item(2, LONG)])
    assert (leak.record, leak.item, leak.similarity) == ("sft_7", "n/vault/1", 1.0)
    assert "filter" in leak.excerpt
