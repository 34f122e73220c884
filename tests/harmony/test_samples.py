from harmony_cases import answers, calls, conversations, returns, says, talk, thinks, user
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from castalia.harmony import PartWeights, Style, parse_completion, render_prompt, render_samples
from castalia.harmony.lint_tokens import emitted

BARE = Style(preamble="none")
relaxed = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])

TWO_TURNS = talk(
    user("Do the tests of the parser pass?"),
    thinks("The user wants to know whether the parser tests pass."),
    calls("run_tests", '{"path": "tests/parser", "verbose": false}'),
    returns("run_tests", "1 failed: test_empty_header"),
    thinks("One test fails, the one for an empty header."),
    answers("No: `test_empty_header` fails, the others pass."),
    user("Fix it."),
    thinks("An empty header should raise. I look at the function reading it."),
    calls("read_file", '{"path": "src/parser.py"}'),
    returns("read_file", "def header(line): return line.split()[0]"),
    thinks("split() of an empty line gives no item, so [0] raises IndexError."),
    answers("I would return None for an empty line before taking the first word."),
)


def test_two_turns_with_tools_train_all_159_tokens_the_model_must_emit(vocabulary, oracle):
    samples = render_samples(TWO_TURNS, vocabulary)
    trained = [vocabulary.decode(sample.ids[start:end]) for sample in samples for start, end in sample.spans()]
    messages = TWO_TURNS.messages
    assert trained == [
        f"<|channel|>analysis<|message|>{messages[1].content}<|end|><|start|>assistant<|channel|>commentary to=functions.run_tests"
        f" <|constrain|>json<|message|>{messages[2].content}<|call|>",
        f"<|channel|>analysis<|message|>{messages[4].content}<|end|><|start|>assistant<|channel|>final<|message|>{messages[5].content}<|return|>",
        f"<|channel|>analysis<|message|>{messages[7].content}<|end|><|start|>assistant<|channel|>commentary to=functions.read_file"
        f" <|constrain|>json<|message|>{messages[8].content}<|call|>",
        f"<|channel|>analysis<|message|>{messages[10].content}<|end|><|start|>assistant<|channel|>final<|message|>{messages[11].content}<|return|>",
    ]
    assert sum(sum(sample.mask) for sample in samples) == 159
    assert sum(len(oracle.encoding.encode(text, allowed_special="all")) for text in trained) == 159


def test_the_second_sample_sees_the_first_turn_as_inference_does(vocabulary):
    second = render_samples(TWO_TURNS, vocabulary, BARE)[1]
    context = vocabulary.decode(second.ids[: second.spans()[0][0]])
    assert "The user wants" not in context and "One test fails" not in context
    assert "the others pass.<|end|><|start|>user<|message|>Fix it.<|end|><|start|>assistant" in context


def test_a_single_turn_keeps_its_chain_of_thought(vocabulary):
    (sample,) = render_samples(talk(user("q"), thinks("t"), answers("a")), vocabulary, BARE)
    trained = [token for token, on in zip(sample.ids, sample.mask, strict=True) if on]
    assert vocabulary.decode(trained) == "<|channel|>analysis<|message|>t<|end|><|start|>assistant<|channel|>final<|message|>a<|return|>"


def test_a_preamble_for_the_user_is_trained_and_goes_on(vocabulary):
    (sample,) = render_samples(talk(user("q"), says("I look it up."), calls("f", "{}"), returns("f", "r"), answers("a")), vocabulary, BARE)
    first = vocabulary.decode(sample.ids[slice(*sample.spans()[0])])
    assert first == (
        "<|channel|>commentary<|message|>I look it up.<|end|>"
        "<|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>"
    )


def test_the_second_of_two_parallel_calls_is_its_own_span_with_a_given_start(vocabulary):
    """The model stops at `<|call|>`: it never samples the `<|start|>assistant` of a call that follows."""
    (sample,) = render_samples(
        talk(user("q"), calls("f", "{}"), calls("g", "{}"), returns("f", "1"), returns("g", "2"), answers("a")), vocabulary, BARE
    )
    assert len(sample.spans()) == 3
    first_end, second_start = sample.spans()[0][1], sample.spans()[1][0]
    assert vocabulary.decode(sample.ids[first_end:second_start]) == "<|start|>assistant"


def test_turns_without_an_answer_give_no_sample_and_trailing_results_are_cut(vocabulary):
    assert render_samples(talk(user("q")), vocabulary) == []
    (sample,) = render_samples(talk(user("anyone?"), user("q"), calls("f", "{}"), returns("f", "1")), vocabulary, BARE)
    assert vocabulary.decode(sample.ids).endswith("<|call|>")


@relaxed
@given(conversation=conversations, dialect=st.sampled_from(["A", "B", "C", "D"]), preamble=st.sampled_from(["full", "none"]))
def test_the_mask_is_the_emitted_tokens_and_nothing_else(conversation, dialect, preamble, vocabulary):
    """The emitted tokens are derived a second way, from ids alone."""
    style = Style(dialect=dialect, preamble=preamble)
    for sample in render_samples(conversation, vocabulary, style):
        assert sample.mask == emitted(sample.ids, vocabulary)
        assert len(sample.ids) == len(sample.mask) == len(sample.weights) == len(sample.parts)
        assert all((part == "context") is not on for part, on in zip(sample.parts, sample.mask, strict=True))


@relaxed
@given(conversation=conversations, dialect=st.sampled_from(["A", "B", "C"]))
def test_every_trained_span_starts_where_a_prompt_ends_and_parses_back_to_its_messages(conversation, dialect, vocabulary):
    style = Style(dialect=dialect)
    said = []
    samples = render_samples(conversation, vocabulary, style)
    starts = [index for index, message in enumerate(conversation.messages) if message.role == "user"]
    for sample, user_at in zip(samples, starts, strict=True):
        asked = conversation.model_copy(update={"messages": conversation.messages[: user_at + 1]})
        assert sample.ids[: sample.spans()[0][0]] == render_prompt(asked, vocabulary, style)
        for start, end in sample.spans():
            parsed = parse_completion(sample.ids[start:end], vocabulary, finished=True)
            assert parsed.status == "ok"
            said += parsed.messages
    assert said == [message for message in conversation.messages if message.role == "assistant"]


def test_weights_scale_parts_inside_the_mask_only(vocabulary):
    weights = PartWeights(header=0.5, analysis=0.25, call=2, final=3, stop=4)
    (sample,) = render_samples(talk(user("q"), thinks("t"), calls("f", "{}"), returns("f", "r"), answers("a")), vocabulary, BARE, weights)
    by_part = {part: {weight for each, weight in zip(sample.parts, sample.weights, strict=True) if each == part} for part in sample.parts}
    assert by_part == {"context": {0.0}, "header": {0.5}, "analysis": {0.25}, "call": {2.0}, "final": {3.0}, "stop": {4.0}}
    assert sample.labels().count(-100) == sample.mask.count(False)
