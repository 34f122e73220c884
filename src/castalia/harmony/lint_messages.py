"""Lint of a conversation before it is rendered: would the model learn to speak properly from it?"""

from collections.abc import Iterator

from castalia.errors import InputError
from castalia.harmony.builtin import BUILTIN_RECIPIENTS
from castalia.harmony.declared import NAMESPACE
from castalia.harmony.findings import Finding, error, warning
from castalia.harmony.json_text import parse_json
from castalia.harmony.lint_tokens import Linted, lint_counted
from castalia.harmony.render import is_call
from castalia.harmony.samples import render_samples
from castalia.harmony.style import Style
from castalia.harmony.typescript import inexpressible, parameters_of
from castalia.harmony.vocabulary import Vocabulary
from castalia.records.conversation import Conversation, Message


def lint_conversation(
    conversation: Conversation,
    vocabulary: Vocabulary,
    style: Style | None = None,
    max_tokens: int | None = None,
) -> list[Finding]:
    """Everything wrong with a conversation as training data, its rendered samples included."""
    return list(lint_rendered(conversation, vocabulary, style, max_tokens).findings)


def lint_rendered(conversation: Conversation, vocabulary: Vocabulary, style: Style | None = None, max_tokens: int | None = None) -> Linted:
    """The findings and what they were made from; no samples where rendering is impossible."""
    try:
        findings = [*_tools(conversation), *_turns(conversation), *_calls(conversation)]
        samples = render_samples(conversation, vocabulary, style)
    except InputError as problem:
        return Linted((error("bad-header", str(problem)),))
    if not samples:
        findings.append(error("no-answer", "the assistant says nothing after a user message: there is nothing to train on"))
    linted = lint_counted(samples, vocabulary, max_tokens)
    return Linted((*findings, *linted.findings), linted.samples, linted.emit, linted.trained)


def _tools(conversation: Conversation) -> Iterator[Finding]:
    for tool in conversation.tools:
        lost = sorted(set(inexpressible(parameters_of(tool))))
        if lost:
            yield warning(
                "lossy-schema", f"tool {tool.name!r} uses {lost} where Harmony's tool format can't say it: the model won't see that"
            )


def _turns(conversation: Conversation) -> Iterator[Finding]:
    messages = conversation.messages
    starts = [index for index, message in enumerate(messages) if message.role == "user"]
    for number, (start, end) in enumerate(zip(starts, [*starts, len(messages)][1:], strict=True)):
        said = [message for message in messages[start:end] if message.role == "assistant"]
        finals = [message for message in said if message.channel == "final" and not is_call(message)]
        if len(finals) > 1:
            yield error("several-finals", f"turn {number} has {len(finals)} final messages: the model stops after the first")
        if said and not finals and not is_call(said[-1]):
            yield error(
                "no-answer",
                f"turn {number} ends on {said[-1].channel!r} without a final message or a call: the model would learn to stop there",
            )
        if finals and said[-1] is not finals[-1]:
            yield error("wrong-stop", f"turn {number} goes on after its final message: the model stops there")


def _calls(conversation: Conversation) -> Iterator[Finding]:
    declared = {f"functions.{tool.name}" for tool in conversation.tools}
    declared |= {recipient for recipient, tool in BUILTIN_RECIPIENTS.items() if tool in conversation.builtin_tools}
    waiting: list[str] = []
    for index, message in enumerate(conversation.messages):
        if is_call(message) and message.recipient:
            waiting.append(message.recipient)
            yield from _call(message, f"message {index} calls {message.recipient!r}", declared)
        elif message.role == "tool" and message.name:
            if message.name in waiting:
                waiting.remove(message.name)
            else:
                yield error("orphan-result", f"message {index} is a result of {message.name!r}, which nobody called")
        elif message.channel == "final" and any(tag in message.content for tag in ("<think>", "</think>", "<tool_call>")):
            yield warning("tags-in-text", f"message {index} has tags of thoughts or calls in a final: is it another model's transcript?")


def _call(message: Message, what: str, declared: set[str]) -> Iterator[Finding]:
    recipient = message.recipient or ""
    built_in = recipient in BUILTIN_RECIPIENTS
    if message.channel == "final":
        yield error("bad-header", f"{what} on the final channel: calls are made on commentary")
    elif built_in and message.channel != "analysis":
        yield warning("unusual-channel", f"{what} on {message.channel}: built-in tools are called on analysis")
    elif recipient in declared and not built_in and message.channel != "commentary":
        yield warning("unusual-channel", f"{what} on {message.channel}: the model is told to call functions on commentary")
    if recipient not in declared and (declared or not (built_in or recipient.startswith(NAMESPACE))):
        yield warning("undeclared-tool", f"{what}; declared are {sorted(declared)}")
    if recipient == "python":
        if not message.content.strip():
            yield error("bad-arguments", f"{what} without code")
    elif (built_in or recipient.startswith(NAMESPACE)) and not _is_object(message):
        yield error("bad-arguments", f"{what} with {message.content[:60]!r}, which is no JSON object")


def _is_object(message: Message) -> bool:
    try:
        return isinstance(parse_json(message.content), dict)
    except ValueError:
        return False
