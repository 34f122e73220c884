"""What right and wrong answers look like to each scorer."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.errors import ConfigError, SandboxUnavailable
from castalia.records import Check, Execution, ExecutionTest
from castalia.scoring import score
from castalia.scoring.proof import text_flaw


def passed(kind: str, expected: str | tuple[str, ...], answer: str, **more: object) -> bool:
    wanted = (expected,) if isinstance(expected, str) else expected
    return score(Check(kind=kind, expected=wanted, **more), answer, sandbox=None).passed  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expected", "answer"),
    [("h", "`h`"), ("h", "H."), ("<%text>", " **<%text>** "), ("%%", "%%"), ("loop.index", "loop.index\n"), ("it’s", "It's"), ("u", '"u"')],
)
def test_exact_accepts_the_answer_in_its_wrapping(expected: str, answer: str) -> None:
    assert passed("exact", expected, answer)


@pytest.mark.parametrize(("expected", "answer"), [("%", "%%"), ("h", "The flag is h"), ("h", ""), ("h", "`"), ("u", "h")])
def test_exact_refuses_another_answer(expected: str, answer: str) -> None:
    assert not passed("exact", expected, answer)


@pytest.mark.parametrize(
    ("group", "answer", "right"),
    [
        ("escap", "Use escaping.", True),
        ("safe", "That is unsafe", False),
        ("no|unsafe", "This is not it", False),
        ("no|unsafe", "No, don't.", True),
        ("10", "It gives 100", False),
        (r"\| h", "write ${x | h}", True),
        (r"\| h", "write ${x}", False),
        ("doesn't", "it doesn’t", True),
    ],
)
def test_contains_finds_whole_words_and_beginnings_of_words(group: str, answer: str, right: bool) -> None:
    assert passed("contains", group, answer) is right


def test_contains_needs_every_group_and_gives_credit_for_some() -> None:
    check = Check(kind="contains", expected=("alpha|beta", "gamma"))
    half = score(check, "beta only", sandbox=None)
    assert (half.passed, half.value) == (False, 0.5)
    assert score(check, "Gamma and alpha", sandbox=None).value == 1.0


def test_an_alternative_that_is_empty_never_matches() -> None:
    assert not passed("contains", "|xyz", "anything at all")


def test_a_forbidden_phrase_makes_a_right_answer_wrong() -> None:
    assert not passed("contains", "escape", "Escape it, although it is fine as is.", forbidden=("it is fine as is",))


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"), ("b", "B"), ("(B)", "B"), ("**B**", "B"), ("B) because", "B"), ("B. It is so", "B"), ("The answer is B.", "B"),
        ("Answer: (B)", "B"), ("It isn't A; the answer is B", "B"), (r"\boxed{B}", "B"), ("A filter turns B on, so it is a B", "B"),
        ("The answer is B. Option A is wrong, as it leaks", "B"), ("My choice: B, not A", "B"), ("The wrong answer is A; the right option is B", "B"),
        ("The answer is A. Option B is wrong", "A"), ("The answer is A. No, the answer is B.", None), ("The answer is B or C", None),
        ("A) x\nB) y", None), ("A or B", None), ("", None), ("none of them", None),
    ],
)  # fmt: skip
def test_choice_reads_the_letter_an_answer_commits_to(answer: str, letter: str | None) -> None:
    assert passed("choice", "B", answer) is (letter == "B")


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("72", "72"), ("#### 1,234", "1234"), ("5 + 7 = 12", "12"), ("The answer is 3.50 dollars, not 4", "3.5"), ("−4", "-4"),
        (r"\boxed{7}", "7"), ("$1,000,000", "1000000"), ("It is 1/4", "0.25"), ("1e3", "1000"),
    ],
)  # fmt: skip
def test_numeric_reads_the_stated_number(answer: str, value: str) -> None:
    assert passed("numeric", value, answer)


@pytest.mark.parametrize(
    ("answer", "tolerance", "right"), [("3.14", 0.01, True), ("3.16", 0.01, False), ("pi", 1.0, False), ("1/0", 1.0, False)]
)
def test_numeric_keeps_to_its_tolerance(answer: str, tolerance: float, right: bool) -> None:
    assert passed("numeric", "3.1416", answer, tolerance=tolerance) is right


def test_regex_searches_the_answer() -> None:
    assert passed("regex", r"^<%def name=", "<%def name='x()'>")
    assert not passed("regex", r"^<%def name=", "say <%def name='x()'>")


def test_regex_that_is_broken_is_a_mistake_in_the_check() -> None:
    with pytest.raises(ConfigError, match="regular expression"):
        passed("regex", "(", "(")


@pytest.mark.parametrize("pattern", [r"^((\w+)\s?)+$", "(a|a)*b", "(?:x|y*)+z", r"(a+a+)+$", ".*.*.*.*.*b"])
def test_regex_that_could_match_for_ever_ends_without_a_match(pattern: str) -> None:
    began = time.process_time()
    assert not passed("regex", pattern, "a" * 3000 + "!")
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("pattern", "answer", "right"), [(r"\${e}", "${e}", True), (r"\${e}", "x", False), ("[{e}]{2}", "{e", True), ("a{2,}", "a", False)]
)
def test_regex_takes_a_brace_that_begins_no_count_as_itself(pattern: str, answer: str, right: bool) -> None:
    assert passed("regex", pattern, answer) is right


@pytest.mark.parametrize("filler", [" ", " \n", "answer ", "1,", "$", "answer: "])
@pytest.mark.parametrize("kind", ["choice", "numeric"])
def test_a_long_answer_is_read_as_fast_as_a_short_one(kind: str, filler: str) -> None:
    began = time.process_time()
    assert not passed(kind, "9", f"The answer is{filler * 100_000}so there")
    assert time.process_time() - began < 2


def test_prose_that_repeats_a_block_is_still_prose() -> None:
    assert not passed("constraints", "max_words=2", "use it now\n```\nuse it now\n```")
    assert passed("constraints", "max_words=3", "use it now\n```\nuse it now\nand so on\n```")


@pytest.mark.parametrize(
    "answer", ["B, C, A", "BCA", "B -> C -> A", "1. B\n2. C\n3. A", "The order is B, C, A.", "First A step matters.\nB C A"]
)
def test_sequence_reads_the_order_in_many_spellings(answer: str) -> None:
    assert passed("sequence", ("B", "C", "A"), answer)


def test_sequence_gives_credit_for_a_part_in_order() -> None:
    result = score(Check(kind="sequence", expected=("B", "C", "A")), "B, A, C", sandbox=None)
    assert not result.passed
    assert result.value == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ("max_words=3", "one two three", "one two three four"),
        ("min_words=2", "one two", "one"),
        ("json", '{"a": 1}', "{'a': 1}"),
        ("json", '```json\n{"a": 1}\n```', 'Here: ```json\n{"a": 1}\n```'),
        ("must_include=escape|filter", "a filter", "nothing"),
        ("must_not_include=sorry", "done", "Sorry, no"),
        ("no_code", "plain words", "use `x`"),
        ("code_block", "```\nx\n```", "x"),
        ("bullets=2", "- a\n- b", "- a\n- b\n- c"),
        ("no_bullets", "a\nb", "1. a"),
        ("sentences=2", "One. Two!", "One."),
        ("starts_with=yes", "Yes, it is", "No"),
        ("lowercase", "all small", "Not small"),
    ],
)
def test_a_constraint_holds_or_is_broken(rule: str, good: str, bad: str) -> None:
    assert passed("constraints", rule, good)
    assert not passed("constraints", rule, bad)


@pytest.mark.parametrize("rule", ["max_word=3", "max_words=many", "json=1", "must_include="])
def test_an_unknown_or_malformed_constraint_is_a_mistake_in_the_check(rule: str) -> None:
    with pytest.raises(ConfigError, match="constraint"):
        passed("constraints", rule, "x")


def test_state_compares_files_and_needs_the_tools_to_have_run() -> None:
    check = Check(kind="state", expected=("a.txt=one", "b/c.txt=two\nlines"))
    assert score(check, "", sandbox=None, files={"a.txt": "one\n", "b/c.txt": "two \nlines\n"}).passed
    assert not score(check, "", sandbox=None, files={"a.txt": "one"}).passed
    assert not score(check, "", sandbox=None, files={"a.txt": "one", "b/c.txt": "other"}).passed
    assert not score(check, "done!", sandbox=None).passed


def test_an_execution_without_a_sandbox_is_never_a_pass() -> None:
    execution = Execution(runner="python", tests=(ExecutionTest(input="{}", expected="1"),))
    with pytest.raises(SandboxUnavailable, match="no sandbox"):
        score(Check(kind="execution", execution=execution), "```python\nx = 1\n```", sandbox=None)


def test_a_check_that_expects_nothing_is_a_mistake_not_a_pass() -> None:
    with pytest.raises(ConfigError, match="expects nothing"):
        score(Check(kind="exact"), "x", sandbox=None)


CHECKS = [
    Check(kind="exact", expected=("h", "`")),
    Check(kind="contains", expected=("a|b", r"\|c"), forbidden=("never",)),
    Check(kind="choice", expected=("B",)),
    Check(kind="numeric", expected=("3",), tolerance=0.5),
    Check(kind="regex", expected=(r"\bx\d+$",)),
    Check(kind="sequence", expected=("A", "B", "C")),
    Check(kind="constraints", expected=("max_words=5", "json", "bullets=1", "sentences=1", "no_code", "must_include=x")),
    Check(kind="state", expected=("a=b",)),
]
PIECES = st.sampled_from(
    ["B", " ", "\n", "```", "~~~", "-", "1e999", "9" * 120, "1/0", "{", "[", "answer is ", "\\boxed{", "####", "\ud800", "²", "**", ","]
)


@settings(max_examples=300, deadline=None)
@given(check=st.sampled_from(CHECKS), answer=st.one_of(st.text(), st.lists(PIECES, max_size=20).map("".join)))
def test_no_answer_makes_a_text_scorer_raise(check: Check, answer: str) -> None:
    result = score(check, answer, sandbox=None, files={"a": answer})
    assert 0.0 <= result.value <= 1.0
    assert (result.value == 1.0) is result.passed
    assert result.reason


def test_deep_json_is_wrong_and_not_a_crash() -> None:
    assert not passed("constraints", "json", "[" * 100_000)


@pytest.mark.parametrize(
    ("kind", "expected", "question", "flaw"),
    [
        ("regex", ".", "How?", "question said again"),
        ("regex", r"x*", "How?", "empty answer"),
        ("regex", r"^[A-Z][^?]*\.$", "How?", "speaks of nothing"),
        ("contains", "mako", "What does the filter h of Mako do?", "question said again"),
        ("numeric", "7", "Which is greater, 3 or 7?", "question said again"),
        ("choice", "B", "Say B.", "question said again"),
        ("constraints", "max_words=60", "How?", "question said again"),
        ("regex", "(", "How?", "does not compile"),
        ("contains", "|", "How?", "needs phrases"),
    ],
)
def test_a_check_that_passes_for_what_says_nothing_proves_nothing(kind: Any, expected: str, question: str, flaw: str) -> None:
    assert flaw in text_flaw(Check(kind=kind, expected=(expected,)), question)


@pytest.mark.parametrize(
    ("kind", "expected", "question"),
    [
        ("regex", r"\bescap", "What does the filter h do?"),
        ("contains", "escap", "What does the filter h of Mako do?"),
        ("numeric", "10", "What is 3 plus 7?"),
        ("choice", "B", "Which one?\nA) the first\nB) the second"),
        ("sequence", "BA", "Order these:\nA) the first\nB) the second"),
        ("constraints", "min_bullets=2", "Name two filters."),
        ("exact", "h", "Which filter escapes, h or u?"),
        ("state", "a.txt=b", "Write b to a.txt."),
        ("execution", "", "How?"),
    ],
)
def test_a_check_that_asks_for_what_the_question_lacks_has_no_flaw(kind: Any, expected: str, question: str) -> None:
    wanted = tuple(expected) if kind == "sequence" else (expected,)
    assert text_flaw(Check(kind=kind, expected=wanted), question) == ""
